//! One paid call, on any transport: its terms, its credential, and what is done about a refusal.

use std::sync::Arc;
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{CredentialBody, DiscoveryDocument, ErrorBody, Pricing, PricingMode};
use amp_protocol::money::{Amount, Seq};

use super::PolicyError;
use super::delegated::Undelegated;
use super::error::ClientError;
use super::http::Client;
#[cfg(feature = "mcp")]
use super::keeping_up::keep_up;
use super::ledger::{Ask, Ledger};
use super::response::Payment;
use super::retry::{Attempts, Remedy};
use super::service::Service;
use super::store::ChannelRecord;
use super::tab::Tab;
use super::ticket::Ticket;
use super::top_up::Raised;

/// How often and how long a service is given to show a charge: it signs what is on its disk.
const SHOWS: u32 = 3;
const BETWEEN_SHOWS: Duration = Duration::from_millis(100);

/// Whether a budget pays for anything at all.
pub(super) fn check_budget(pricing: &Pricing, budget: Amount) -> Result<(), ClientError> {
    let price = pricing.rate().cost(1).unwrap_or(Amount::MAX);
    if pricing.is_metered() && price > budget {
        return Err(PolicyError::Price { price, max: budget }.into());
    }
    Ok(())
}

/// What is called, as the price list names it.
pub(super) enum Place {
    /// A path.
    Route(String),
    /// A path where a socket is: what pays for it goes on after it is open.
    #[cfg(feature = "ws")]
    Socket(String),
    /// A tool.
    #[cfg(feature = "mcp")]
    Tool(String),
    /// The path of a method, which may answer with many messages.
    #[cfg(feature = "grpc")]
    Method(String),
}

impl Place {
    fn pricing(&self, document: &DiscoveryDocument) -> Pricing {
        match self {
            Self::Route(path) => document.pricing.for_route(path),
            #[cfg(feature = "ws")]
            Self::Socket(path) => document.pricing.for_route(path),
            #[cfg(feature = "mcp")]
            Self::Tool(name) => document.pricing.for_tool(name),
            #[cfg(feature = "grpc")]
            Self::Method(path) => document.pricing.for_route(path),
        }
    }

    /// Whether more is bought after the answer, whatever the price's mode.
    fn goes_on(&self) -> bool {
        #[cfg(feature = "ws")]
        if let Self::Socket(_) = self {
            return true;
        }
        false
    }
}

/// Carries one call to the service and back, as often as it takes.
pub(super) trait Carrier: Send {
    /// What a served call is answered with.
    type Answer: Send;

    /// Sends the call with this credential. An error says that it may have been served.
    fn carry(
        &mut self,
        credential: &CredentialBody,
    ) -> impl Future<Output = Result<Carried<Self::Answer>, ClientError>> + Send;

    /// Whether it can be carried once more.
    fn can_repeat(&self) -> bool {
        true
    }
}

/// What came back.
pub(super) enum Carried<A> {
    /// It was served.
    Answered(A, Said),
    /// It was refused.
    Refused(Refusal),
    /// The credential never left.
    Unsent(ClientError),
}

/// What an answer says of the payment. Without `spent` it says nothing, as of a proxy on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub(super) cost: Option<Amount>,
    pub(super) spent: Option<Amount>,
    pub(super) balance: Option<Amount>,
    /// The answer was complete when it said so: a metered stream's cost is not known at its beginning.
    pub(super) ended: bool,
    /// It is said at the end of the answer, which is not here yet, whatever the price counts.
    pub(super) later: bool,
    /// Of an answer that is here as a whole: the most that the service can have counted, where this side can tell.
    pub(super) counted: Option<u64>,
}

/// A call under way, and the terms it is made on.
pub(super) struct Call<'a> {
    client: &'a Client,
    service: &'a Arc<Service>,
    place: Place,
    document: Arc<DiscoveryDocument>,
    pricing: Pricing,
    /// Of a stream: what is signed for at first beyond the usual.
    lift: Amount,
    /// Of a stream that was refused and is tried again: what was charged meanwhile, at most what was signed for it. All
    /// tries have one budget.
    charged: Amount,
    /// What was acknowledged when the last ticket was signed, and what that was signed for.
    last: Option<(i64, Amount, Amount)>,
}

/// A request that was refused: nothing was charged.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Box<ErrorBody>,
}

impl From<Box<ErrorBody>> for Refusal {
    /// With the status that the code has over HTTP.
    fn from(body: Box<ErrorBody>) -> Self {
        Self { status: body.error.http_status(), body }
    }
}

impl From<Refusal> for ClientError {
    fn from(Refusal { status, body }: Refusal) -> Self {
        Self::Refused { status, body }
    }
}

impl<'a> Call<'a> {
    /// A call of `place`, on the terms that the service names.
    pub(super) async fn of(
        client: &'a Client,
        service: &'a Arc<Service>,
        place: Place,
    ) -> Result<Self, ClientError> {
        let document = client.document(service, false).await?;
        let pricing = place.pricing(&document);
        let (lift, charged, last) = (Amount::ZERO, Amount::ZERO, None);
        Ok(Self { client, service, place, document, pricing, lift, charged, last })
    }

    pub(super) fn is_free(&self) -> bool {
        self.pricing.rate.is_zero()
    }

    /// What its price counts.
    #[cfg(feature = "mcp")]
    pub(super) fn mode(&self) -> PricingMode {
        self.pricing.mode
    }

    /// Whether what it costs shows while its answer comes.
    pub(super) fn is_metered(&self) -> bool {
        self.pricing.is_metered()
    }

    /// Pays, for as long as there is a remedy for what the service refuses.
    pub(super) async fn pay<C: Carrier>(
        mut self,
        mut carrier: C,
    ) -> Result<(C::Answer, Payment, Option<Tab>), ClientError> {
        self.check_policy()?;
        let mut ticket = self.ticket(Seq::ZERO).await?;
        let mut attempts = Attempts::new(self.is_delegates()).of_stream(self.pricing.is_metered());
        loop {
            let carried;
            (ticket, carried) = self.carried(&mut carrier, ticket).await?;
            self.last = self.last.map(|(id, acknowledged, _)| (id, acknowledged, ticket.price()));
            let refusal = match carried {
                Carried::Answered(answer, said) => {
                    let (payment, tab) = self.served(ticket, said).await?;
                    return Ok((answer, payment, tab));
                }
                Carried::Refused(refusal) => refusal,
                Carried::Unsent(error) => {
                    ticket.refused().await?;
                    return Err(error);
                }
            };
            if !carrier.can_repeat() {
                ticket.refused().await?;
                return Err(refusal.into());
            }
            let remedy = attempts.remedy(&refusal.body, self.client.inner.settings.options.max_wait);
            ticket = self.remedied(remedy, refusal, ticket).await?;
        }
    }

    /// Carries it once. Where its answer comes as a whole and what it costs is counted meanwhile, more is signed for
    /// beside it.
    async fn carried<C: Carrier>(
        &self,
        carrier: &mut C,
        ticket: Ticket,
    ) -> Result<(Ticket, Carried<C::Answer>), ClientError> {
        #[cfg(feature = "mcp")]
        if self.pricing.is_metered() && matches!(self.place, Place::Tool(_)) {
            let credential = *ticket.credential();
            let (tab, carried) = keep_up(self.tab(ticket), carrier.carry(&credential)).await?;
            return Ok((tab.into_ticket(), carried));
        }
        let carried = carrier.carry(ticket.credential()).await?;
        Ok((ticket, carried))
    }

    /// What goes on being signed for.
    fn tab(&self, ticket: Ticket) -> Tab {
        let (client, service) = (self.client.clone(), self.service.clone());
        let tab = Tab::new(client, service, self.document.clone(), self.pricing.clone(), ticket, self.step());
        if self.pricing.is_metered() { tab.within(self.price()) } else { tab }
    }

    /// Books a served call, and says what it was paid. Of an answer that is paid for while it comes that is not
    /// known: what it is signed for goes on.
    async fn served(&self, ticket: Ticket, said: Said) -> Result<(Payment, Option<Tab>), ClientError> {
        let Said { spent, balance, ended, counted, .. } = said;
        let cost = said.cost.filter(|_| ended || self.pricing.mode == PricingMode::PerCall);
        let (channel, seq) = (ticket.channel().channel, ticket.credential().seq);
        let mut tab = None;
        match spent {
            Some(_) => drop(self.answered(ticket, cost, spent, counted).await?),
            None if self.pricing.is_metered() || self.place.goes_on() || said.later => {
                tab = Some(self.tab(ticket));
            }
            // an answer that does not say so may have been charged
            None => drop(ticket),
        }
        Ok((Payment { channel, seq, cost, spent, balance }, tab))
    }

    /// Books an answer that is here as a whole.
    async fn answered(
        &self,
        ticket: Ticket,
        cost: Option<Amount>,
        spent: Option<Amount>,
        counted: Option<u64>,
    ) -> Result<Ledger, ClientError> {
        // what was agreed to may be an answer of many messages, and this one has none: it may cost one price
        let price = match counted {
            Some(count) => self.pricing.rate().cost(count).unwrap_or(Amount::MAX).min(self.price()),
            None => self.price(),
        };
        let cost = cost.unwrap_or(price);
        let ticket = if cost > price { ticket.at_most(price) } else { ticket };
        ticket.answered(Some(cost), spent).await
    }

    /// What is signed for at first.
    fn step(&self) -> Amount {
        if self.pricing.is_metered() {
            let (first, budget) = (self.client.first_step(&self.pricing, self.price()), self.price());
            first.checked_add(self.lift).unwrap_or(budget).min(budget)
        } else {
            self.price()
        }
    }

    fn price(&self) -> Amount {
        self.client.price(&self.pricing).checked_sub(self.charged).unwrap_or(Amount::ZERO)
    }

    fn check_policy(&self) -> Result<(), ClientError> {
        check_budget(&self.pricing, self.price())?;
        self.client.check_policy(&self.document, self.service, self.price())
    }

    async fn ticket(&mut self, at_least: Seq) -> Result<Ticket, ClientError> {
        if let Some((id, before, price)) = self.last.take() {
            let now = self.client.inner.store.load(id).await?.ledger.acknowledged;
            let charged = now.checked_sub(before).unwrap_or(Amount::ZERO).min(price);
            self.charged = self.charged.checked_add(charged).unwrap_or(Amount::MAX);
            check_budget(&self.pricing, self.price())?;
        }
        let takes_unused = self.pricing.is_metered();
        let agreed = match self.place {
            _ if takes_unused => Some(self.price()),
            // each message of its answer may cost the price, and what was signed for others pays for it
            #[cfg(feature = "grpc")]
            Place::Method(_) => Some(self.client.budget_of_messages(&self.pricing)),
            _ => None,
        };
        let ask = Ask { price: self.step(), agreed, takes_unused, at_least, ..Ask::default() };
        let ticket = self.client.ticket_for(self.service, &self.document, ask).await?;
        if takes_unused {
            let id = ticket.channel().id;
            let acknowledged = self.client.inner.store.load(id).await?.ledger.acknowledged;
            self.last = Some((id, acknowledged, ticket.price()));
        }
        Ok(ticket)
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
                if self.pricing.is_metered() {
                    // other streams of this signer have taken what was signed for this one, too; and lost calls
                    // that were charged are to be known of, or too little would be signed again
                    self.client.status_of(self.service, &channel).await?;
                    let ledger = self.client.inner.store.load(channel.id).await?.ledger;
                    self.lift = ledger.missing_to(required);
                    return self.ticket(Seq::ZERO).await;
                }
                // a higher price would explain it
                self.document = self.client.document(self.service, true).await?;
                self.pricing = self.place.pricing(&self.document);
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
    async fn raised(&mut self, channel: &ChannelRecord, required: Seq) -> Result<Ticket, ClientError> {
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

    async fn top_up(&mut self, least: Option<Amount>, ticket: Ticket) -> Result<Ticket, ClientError> {
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

    async fn reopen(&mut self, refusal: Refusal, ticket: Ticket) -> Result<Ticket, ClientError> {
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
    async fn topped_up(&mut self, refusal: &Refusal, ticket: Ticket) -> Result<Ticket, ClientError> {
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
    async fn look_again(&mut self, refusal: Refusal, ticket: Ticket) -> Result<Ticket, ClientError> {
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

    /// Gives a refused ticket back and signs another.
    async fn instead(&mut self, ticket: Ticket) -> Result<Ticket, ClientError> {
        ticket.refused().await?;
        self.ticket(Seq::ZERO).await
    }
}
