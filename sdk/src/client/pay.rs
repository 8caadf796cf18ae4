//! One paid call: the credential, the answer, and what is done about a refusal.

use std::sync::Arc;
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{DiscoveryDocument, ErrorBody, Pricing, PricingMode};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::header;
use reqwest::Request;
use reqwest::header::CONTENT_LENGTH;

use super::delegated::Undelegated;
use super::error::ClientError;
use super::http::{Client, credential_headers};
use super::response::{Payment, Response};
use super::retry::{Attempts, Remedy};
use super::service::Service;
use super::store::ChannelRecord;
use super::ticket::Ticket;
use super::top_up::Raised;

/// How often and how long a service is given to show a charge: it signs what is on its disk.
const SHOWS: u32 = 3;
const BETWEEN_SHOWS: Duration = Duration::from_millis(100);

/// A call under way, and the terms it is made on.
struct Call<'a> {
    client: &'a Client,
    service: &'a Arc<Service>,
    route: String,
    document: Arc<DiscoveryDocument>,
    pricing: Pricing,
}

/// A request that was refused: nothing was charged.
struct Refusal {
    status: u16,
    body: Box<ErrorBody>,
}

impl From<Refusal> for ClientError {
    fn from(Refusal { status, body }: Refusal) -> Self {
        Self::Refused { status, body }
    }
}

/// Sends a request to a service that takes AMP, paid where its route has a price.
pub(super) async fn pay(
    client: &Client,
    service: &Arc<Service>,
    mut request: Request,
) -> Result<Response, ClientError> {
    let route = request.url().path().to_owned();
    let document = client.document(service, false).await?;
    let pricing = document.pricing.for_route(&route);
    let mut call = Call { client, service, route, document, pricing };
    if call.pricing.rate.is_zero() {
        return call.free(request).await;
    }
    call.check_policy()?;
    let mut ticket = call.ticket(Seq::ZERO).await?;
    let mut attempts = Attempts::new(client.inner.settings.delegate().is_some());
    loop {
        let copy = request.try_clone();
        let (sent, mut answer) = call.send(request, ticket).await?;
        let Some(refusal) = call.refusal(&mut answer).await? else { return call.served(sent, answer).await };
        let Some(copy) = copy else {
            sent.refused().await?;
            return Err(refusal.into());
        };
        request = copy;
        let remedy = attempts.remedy(&refusal.body, client.inner.settings.options.max_wait);
        ticket = call.remedied(remedy, refusal, sent).await?;
    }
}

impl Call<'_> {
    fn price(&self) -> Amount {
        self.client.price(&self.pricing)
    }

    fn check_policy(&self) -> Result<(), ClientError> {
        self.client.check_policy(&self.document, self.service, self.price())
    }

    async fn ticket(&self, at_least: Seq) -> Result<Ticket, ClientError> {
        self.client.ticket(self.service, &self.document, self.price(), at_least).await
    }

    async fn free(&self, request: Request) -> Result<Response, ClientError> {
        let mut answer = self.client.send(request).await?;
        match self.refusal(&mut answer).await? {
            // not free after all
            Some(refusal) if refusal.body.error == Code::NoChannel => Err(refusal.into()),
            _ => Ok(answer),
        }
    }

    async fn send(&self, mut request: Request, ticket: Ticket) -> Result<(Ticket, Response), ClientError> {
        credential_headers(&mut request, ticket.credential());
        match self.client.send(request).await {
            Ok(answer) => Ok((ticket, answer)),
            Err(ClientError::Http(error)) if error.is_connect() => {
                // the credential never left
                ticket.refused().await?;
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Books a served call, and shows the caller what it was paid.
    async fn served(&self, ticket: Ticket, answer: Response) -> Result<Response, ClientError> {
        // the headers of a metered stream are sent before its cost is known
        let ended =
            self.pricing.mode == PricingMode::PerCall || answer.headers().contains_key(CONTENT_LENGTH);
        let cost = answer.amount(header::COST).filter(|_| ended);
        let spent = answer.amount(header::SPENT);
        let payment = Payment {
            channel: ticket.channel().channel,
            seq: ticket.credential().seq,
            cost,
            spent,
            balance: answer.amount(header::BALANCE),
        };
        match spent {
            Some(_) => drop(ticket.answered(cost, spent).await?),
            // an answer that does not say so, as of a proxy on the way, may have been charged
            None => drop(ticket),
        }
        Ok(answer.paid(payment))
    }

    /// Applies a remedy: the same ticket where its credential can be sent again, a new one where not.
    async fn remedied(
        &mut self,
        remedy: Remedy,
        refusal: Refusal,
        ticket: Ticket,
    ) -> Result<Ticket, ClientError> {
        match remedy {
            Remedy::Again(pause) => {
                tokio::time::sleep(pause).await;
                Ok(ticket)
            }
            Remedy::TopUp(_) if self.is_delegates() => self.topped_up(&refusal, ticket).await,
            Remedy::TopUp(least) => self.top_up(least, ticket).await,
            Remedy::Raise(required) => {
                let channel = ticket.channel().clone();
                ticket.refused().await?;
                // a higher price would explain it
                self.document = self.client.document(self.service, true).await?;
                self.pricing = self.document.pricing.for_route(&self.route);
                self.check_policy()?;
                self.raised(&channel, required).await
            }
            Remedy::Resume => {
                self.client.status_of(self.service, ticket.channel()).await?;
                self.instead(ticket).await
            }
            Remedy::Reopen if self.is_delegates() => self.look_again(refusal, ticket).await,
            Remedy::Reopen => self.reopen(refusal, ticket).await,
            Remedy::GiveUp => {
                ticket.refused().await?;
                Err(refusal.into())
            }
        }
    }

    /// Signs the seq that the service asks for once its signed status explains it, by lost calls that it
    /// charged. Its word alone would buy it the price of every call that got lost.
    async fn raised(&self, channel: &ChannelRecord, required: Seq) -> Result<Ticket, ClientError> {
        let mut signed = self.ticket(required).await;
        for look in 0..SHOWS {
            if !matches!(signed, Err(ClientError::Unjustified { .. })) {
                break;
            }
            tokio::time::sleep(BETWEEN_SHOWS.saturating_mul(look)).await;
            self.client.status_of(self.service, channel).await?;
            signed = self.ticket(required).await;
        }
        signed
    }

    async fn top_up(&self, least: Option<Amount>, ticket: Ticket) -> Result<Ticket, ClientError> {
        let usual = self.client.usual_deposit(&self.document, self.price());
        // counted from what was known when this call was signed: a top-up since then will do
        let more = ticket.channel().ledger.deposited.checked_add(usual).unwrap_or(Amount::MAX);
        let raised =
            self.client.raise_deposit(self.service, ticket.channel().id, least.unwrap_or(more), usual).await;
        match raised {
            Ok(Raised::Done(record)) => {
                self.service.set_channel(*record);
                Ok(ticket)
            }
            Ok(Raised::Gone) => self.instead(ticket).await,
            Err(error) => {
                ticket.refused().await?;
                Err(error)
            }
        }
    }

    async fn reopen(&self, refusal: Refusal, ticket: Ticket) -> Result<Ticket, ClientError> {
        if self.client.live_account(ticket.channel()).await?.is_none() {
            self.client.gone(self.service, ticket.channel()).await?;
            return self.instead(ticket).await;
        }
        if refusal.body.error == Code::NoChannel {
            return Ok(ticket);
        }
        // opening another on the service's word alone would lock up a second deposit
        let channel = ticket.channel().channel;
        ticket.refused().await?;
        Err(ClientError::ClosedByService { origin: self.service.name.clone(), channel })
    }

    fn is_delegates(&self) -> bool {
        self.client.inner.settings.delegate().is_some()
    }

    /// For a delegate only the funder tops up; perhaps it has.
    async fn topped_up(&self, refusal: &Refusal, ticket: Ticket) -> Result<Ticket, ClientError> {
        let channel = ticket.channel().clone();
        match self.client.look_again(self.service, &channel).await {
            Ok(now) if now.id != channel.id => self.instead(ticket).await,
            Ok(now) if now.ledger.deposited > channel.ledger.deposited => Ok(ticket),
            Ok(now) => {
                ticket.refused().await?;
                Err(ClientError::FunderMustTopUp {
                    channel: now.channel,
                    funder: now.funder,
                    deposited: now.ledger.deposited,
                    code: refusal.body.error,
                })
            }
            Err(error) => {
                ticket.refused().await?;
                Err(error)
            }
        }
    }

    /// A refusal by which the channel or the delegation may be gone, or made anew.
    async fn look_again(&self, refusal: Refusal, ticket: Ticket) -> Result<Ticket, ClientError> {
        let channel = ticket.channel().clone();
        let error = match self.client.look_again(self.service, &channel).await {
            Ok(now) if now.id != channel.id => return self.instead(ticket).await,
            Ok(_) if refusal.body.error == Code::NoChannel => return Ok(ticket),
            Ok(_) if refusal.body.error == Code::Closed => {
                self.client.not_delegated(&channel, Undelegated::NotServed)
            }
            Ok(_) => refusal.into(),
            Err(error) => error,
        };
        ticket.refused().await?;
        Err(error)
    }

    /// The AMP refusal in an answer. Its body is read here, so it must end in time too.
    async fn refusal(&self, answer: &mut Response) -> Result<Option<Refusal>, ClientError> {
        let (status, limit) = (answer.status().as_u16(), self.client.inner.settings.options.timeout);
        let url = self.service.origin.to_string();
        let read = tokio::time::timeout(limit, answer.refusal()).await;
        let body = read.map_err(|_| ClientError::TimedOut { url, seconds: limit.as_secs() })??;
        Ok(body.map(|body| Refusal { status, body: Box::new(body) }))
    }

    /// Gives a refused ticket back and signs another.
    async fn instead(&self, ticket: Ticket) -> Result<Ticket, ClientError> {
        ticket.refused().await?;
        self.ticket(Seq::ZERO).await
    }
}
