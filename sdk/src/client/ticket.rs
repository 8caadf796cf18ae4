use std::sync::Arc;

use amp_protocol::json::{CredentialBody, DiscoveryDocument};
use amp_protocol::money::{Amount, Seq};
use tokio::sync::OwnedSemaphorePermit;

use super::Client;
use super::config::{Payer, Settings};
use super::error::ClientError;
use super::ledger::{Ask, Ledger, LedgerError};
use super::service::Service;
use super::store::{ChannelRecord, Outcome, Reservation, ReserveError, Store};
use super::top_up::Raised;
use crate::signed::sign_credential;

/// How often a channel that vanished, or was topped up, is looked at again for one call.
const ROUNDS: u32 = 4;

/// A signed credential for one call, on any transport. Say how the call ended with
/// [`answered`](Ticket::answered) or [`refused`](Ticket::refused); dropped, it counts as lost: its price
/// may have been charged, and the next credential exposes one unit more.
#[must_use = "a dropped ticket counts as a lost call"]
pub struct Ticket {
    store: Store,
    service: Arc<Service>,
    channel: Arc<ChannelRecord>,
    credential: CredentialBody,
    /// Taken when the call's outcome is booked.
    reservation: Option<Reservation>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    /// What travels with the request.
    pub fn credential(&self) -> &CredentialBody {
        &self.credential
    }

    /// The channel that pays.
    pub fn channel(&self) -> &ChannelRecord {
        &self.channel
    }

    /// The service answered. `cost`: what this call was charged, where that is final; `spent`: the total.
    /// Refuses what was never agreed to, and then nothing more is paid to the service.
    pub async fn answered(
        mut self,
        cost: Option<Amount>,
        spent: Option<Amount>,
    ) -> Result<Ledger, ClientError> {
        self.resolve(Outcome::Answered { cost, spent }).await
    }

    /// The service refused, or was never reached: nothing was charged.
    pub async fn refused(mut self) -> Result<Ledger, ClientError> {
        self.resolve(Outcome::Refused).await
    }

    /// What is in flight of it: what it was signed for.
    pub(super) fn price(&self) -> Amount {
        self.reservation.map_or(Amount::ZERO, |reservation| reservation.price)
    }

    /// It is still under way: what takes long would count as lost.
    pub(super) async fn is_under_way(&self) -> Result<(), ClientError> {
        match self.reservation {
            Some(reservation) => Ok(self.store.still_in_flight(reservation).await?),
            None => Ok(()),
        }
    }

    /// A stream does not take up a place among the calls in flight for as long as it lasts.
    pub(super) fn without_place(mut self) -> Self {
        self.permit = None;
        self
    }

    /// Agrees to `agreed` at the most: more is a fraud.
    pub(super) fn at_most(mut self, agreed: Amount) -> Self {
        self.reservation = self.reservation.map(|reservation| reservation.at_most(agreed));
        self
    }

    async fn resolve(&mut self, outcome: Outcome) -> Result<Ledger, ClientError> {
        let Some(reservation) = self.reservation.take() else { return Ok(self.channel.ledger) };
        self.store.resolve(reservation, outcome).await?.map_err(|overcharge| {
            self.service.forget(self.channel.id);
            ClientError::Overcharged { origin: self.service.name.clone(), overcharge }
        })
    }
}

/// A seq that was reserved and signed.
struct Signed {
    channel: Arc<ChannelRecord>,
    reservation: Reservation,
    credential: CredentialBody,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.store.abandon(reservation);
        }
    }
}

impl Client {
    /// Signs for a call that costs at most `price`: for transports other than [`Client::execute`].
    /// Opens the channel, and tops it up, where needed; a delegate's client does neither, and says what its
    /// funder can do.
    pub async fn authorize(&self, url: &str, price: Amount) -> Result<Ticket, ClientError> {
        let service = self.service_of(url)?;
        let document = self.document(&service, false).await?;
        self.check_policy(&document, &service, price)?;
        self.ticket(&service, &document, price, Seq::ZERO).await
    }

    /// Signs, where the client's own books justify at least `at_least`.
    pub(super) async fn ticket(
        &self,
        service: &Arc<Service>,
        document: &DiscoveryDocument,
        price: Amount,
        at_least: Seq,
    ) -> Result<Ticket, ClientError> {
        self.ticket_for(service, document, Ask { price, at_least, ..Ask::default() }).await
    }

    /// Signs for what a call, or a stream, asks at first; ahead too where the policy says so.
    pub(super) async fn ticket_for(
        &self,
        service: &Arc<Service>,
        document: &DiscoveryDocument,
        ask: Ask,
    ) -> Result<Ticket, ClientError> {
        let options = &self.inner.settings.options;
        let permit = service.permit(document, options.in_flight_limit).await;
        let prepay = if ask.takes_unused { Amount::ZERO } else { options.policy.max_prepay };
        let ask = Ask { prepay, ..ask };
        let Signed { channel, reservation, credential } = self.sign(service, document, ask, None).await?;
        let (store, service) = (self.inner.store.clone(), service.clone());
        let reservation = Some(reservation);
        Ok(Ticket { store, service, channel, credential, reservation, permit })
    }

    /// Signs for more of the call that a ticket is for.
    pub(super) async fn extend(
        &self,
        ticket: &mut Ticket,
        document: &DiscoveryDocument,
        ask: Ask,
    ) -> Result<(), ClientError> {
        let service = ticket.service.clone();
        let signed = self.sign(&service, document, ask, ticket.reservation).await?;
        (ticket.channel, ticket.credential) = (signed.channel, signed.credential);
        ticket.reservation = Some(signed.reservation);
        Ok(())
    }

    async fn sign(
        &self,
        service: &Arc<Service>,
        document: &DiscoveryDocument,
        ask: Ask,
        more: Option<Reservation>,
    ) -> Result<Signed, ClientError> {
        let Settings { payer, options, .. } = &self.inner.settings;
        let (price, store) = (ask.price, &self.inner.store);
        let usual = self.usual_deposit(document, price);
        let mut last = ClientError::NoChannel { origin: service.name.clone() };
        for _ in 0..ROUNDS {
            let channel = match more {
                None => self.channel(service, document, price).await?,
                // a call that is under way stays with its channel, and opens no other
                Some(more) => Arc::new(store.load(more.channel_id()).await?),
            };
            let reservation = match store.reserve(channel.id, ask, options.policy.total_budget, more).await? {
                Ok(reservation) => reservation,
                Err(ReserveError::State(_)) => {
                    // closed, or in dispute, by another task or process
                    service.forget(channel.id);
                    if more.is_some() {
                        break;
                    }
                    continue;
                }
                Err(ReserveError::Ledger(reason @ LedgerError::Unjustified { .. })) => {
                    return Err(ClientError::Unjustified { origin: service.name.clone(), reason });
                }
                Err(ReserveError::Policy(error)) => return Err(error.into()),
                Err(ReserveError::Ledger(reason)) if matches!(payer, Payer::Delegate(_)) => {
                    last = self.out_of_reach(&channel, reason);
                    self.look_for_more(service, &channel, reason).await?;
                    continue;
                }
                Err(ReserveError::Ledger(
                    LedgerError::DepositTooSmall { needed, .. } | LedgerError::LimitTooSmall { needed, .. },
                )) => {
                    let deposited = channel.ledger.deposited;
                    last = ClientError::NeedsTopUp { channel: channel.channel, deposited, needed };
                    if let Raised::Done(record) =
                        self.raise_deposit(service, channel.id, needed, usual).await?
                    {
                        service.set_channel(*record);
                    }
                    continue;
                }
            };
            let signer = self.inner.settings.signer();
            let signed = sign_credential(signer, &channel.channel, channel.epoch(), reservation.seq).await;
            let credential = match signed {
                Ok(credential) => credential,
                Err(error) => {
                    // never signed, so never charged; an overcharge found here comes back at the next call.
                    // Of a call that is under way nobody knows
                    if more.is_none() {
                        let _ = store.resolve(reservation, Outcome::Refused).await?;
                    }
                    return Err(error.into());
                }
            };
            return Ok(Signed { channel, reservation, credential });
        }
        Err(last)
    }

    async fn channel(
        &self,
        service: &Service,
        document: &DiscoveryDocument,
        price: Amount,
    ) -> Result<Arc<ChannelRecord>, ClientError> {
        // the document may be older than the channel, where that was replaced in the meantime
        let known = || service.channel().map(|channel| service.check(&channel, document).map(|()| channel));
        if let Some(channel) = known() {
            return channel;
        }
        let _gate = service.gate.lock().await;
        if let Some(channel) = known() {
            return channel;
        }
        let may_open = self.inner.settings.options.auto_open;
        Ok(service.set_channel(self.ensure_open(service, document, price, may_open).await?))
    }
}
