//! What a stream is signed for as it goes on: a little ahead of what it has used, and never beyond what the
//! policy allows for one call.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use amp_protocol::json::{ChannelStatus, CredentialBody, DiscoveryDocument, Pricing, PricingMode};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rate::Rate;

use super::PolicyError;
use super::call::check_budget;
use super::error::ClientError;
use super::http::{Client, parse};
use super::ledger::{Ask, Ledger};
use super::operation::Operation;
use super::service::Service;
use super::store::ChannelRecord;
use super::ticket::Ticket;

/// Steps that are used up sooner are too small: each is a signature, a write and a message.
const SHORT: Duration = Duration::from_millis(250);

/// By how many seconds the service's clock may be ahead: it began before its first word was here, and ends after what
/// was read last.
const SECONDS_APART: u64 = 2;

/// How many seconds have begun in this time by the client's own clock.
pub(super) fn seconds_begun(elapsed: Duration) -> u64 {
    elapsed.as_secs().saturating_add(1)
}

/// How many the service may have counted.
pub(super) fn seconds_at_most(elapsed: Duration) -> u64 {
    seconds_begun(elapsed).saturating_add(SECONDS_APART)
}

/// When a call began. Of two clocks the longer time counts: one stands still while the machine is suspended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun(Instant, SystemTime);

impl Begun {
    pub(super) fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}

/// A call whose cost is not known before it ends, on any transport. It is signed for step by step: send
/// [`credential`](Self::credential) with the request, and each one that [`extend`](Self::extend) makes by
/// whatever way the transport has for it. Say at the [`end`](Self::end) what it cost; dropped, all that was
/// signed for it counts as charged, as far as the service does not say otherwise.
pub struct Tab {
    client: Client,
    service: Arc<Service>,
    document: Arc<DiscoveryDocument>,
    pricing: Pricing,
    ticket: Ticket,
    /// The most that may be; none where each message is agreed to by itself.
    budget: Option<Amount>,
    step: Amount,
    stepped: Instant,
    /// The seq that the call was sent with: the service knows the stream by it.
    begun_with: Seq,
    /// What was signed by all calls at the last look, where the service waited.
    covered: Option<Seq>,
}

impl Client {
    /// Signs for the first step of a stream that `pricing` meters. `url` names the service, as in
    /// [`authorize`](Self::authorize); the budget is that of [`ClientBuilder::metered_budget`].
    ///
    /// [`ClientBuilder::metered_budget`]: super::ClientBuilder::metered_budget
    pub async fn tab(&self, url: &str, pricing: Pricing) -> Result<Tab, ClientError> {
        let service = self.service_of(url)?;
        let document = self.document(&service, false).await?;
        self.open_tab(service, document, pricing).await
    }

    /// The same for the price of a path.
    pub async fn tab_for_route(&self, url: &str) -> Result<Tab, ClientError> {
        let service = self.service_of(url)?;
        let document = self.document(&service, false).await?;
        let pricing = document.pricing.for_route(parse(url)?.path());
        self.open_tab(service, document, pricing).await
    }

    pub(super) async fn open_tab(
        &self,
        service: Arc<Service>,
        document: Arc<DiscoveryDocument>,
        pricing: Pricing,
    ) -> Result<Tab, ClientError> {
        let budget = self.price(&pricing);
        check_budget(&pricing, budget)?;
        self.check_policy(&document, &service, budget)?;
        let step = self.first_step(&pricing, budget);
        let ask = Ask { price: step, agreed: Some(budget), takes_unused: true, ..Ask::default() };
        let ticket = self.ticket_for(&service, &document, ask).await?;
        Ok(Tab::new(self.clone(), service, document, pricing, ticket, step))
    }

    /// What the first step of a stream is signed for.
    pub(super) fn first_step(&self, pricing: &Pricing, budget: Amount) -> Amount {
        let few = match pricing.mode {
            PricingMode::PerByte => 64 << 10,
            PricingMode::PerSecond => 5,
            PricingMode::PerCall | PricingMode::PerCompute => 32,
        };
        pricing.rate().cost(few).unwrap_or(budget).min(budget)
    }
}

impl Tab {
    /// A stream whose first step a ticket was signed for.
    pub(super) fn new(
        client: Client,
        service: Arc<Service>,
        document: Arc<DiscoveryDocument>,
        pricing: Pricing,
        ticket: Ticket,
        step: Amount,
    ) -> Self {
        let (budget, begun_with) = (Some(client.price(&pricing)), ticket.credential().seq);
        Self {
            client,
            service,
            document,
            pricing,
            ticket: ticket.without_place(),
            budget,
            step,
            stepped: Instant::now(),
            begun_with,
            covered: None,
        }
    }

    /// The same for no more than `budget`.
    pub(super) fn within(self, budget: Amount) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The same where each message of the answer costs the price of a call: the budget is that of a stream.
    #[cfg(feature = "grpc")]
    pub(super) fn of_messages(self) -> Self {
        Self { budget: Some(self.client.budget_of_messages(&self.pricing)), ..self }
    }

    /// What was signed for, as that of a call that has ended.
    #[cfg(feature = "mcp")]
    pub(super) fn into_ticket(self) -> Ticket {
        self.ticket
    }

    /// What is counted, and at which rate.
    pub fn pricing(&self) -> &Pricing {
        &self.pricing
    }

    /// The rate.
    pub fn rate(&self) -> Rate {
        self.pricing.rate()
    }

    /// The newest credential: it authorizes all that was signed for so far.
    pub fn credential(&self) -> &CredentialBody {
        self.ticket.credential()
    }

    /// The channel that pays.
    pub fn channel(&self) -> &ChannelRecord {
        self.ticket.channel()
    }

    /// The most that this stream may cost, in base units: it was agreed to when it began. A service may charge so much
    /// of what was signed for earlier and not used.
    pub fn budget(&self) -> Amount {
        self.budget.unwrap_or(Amount::MAX)
    }

    /// What was signed for on this stream so far, in base units.
    pub fn authorized(&self) -> Amount {
        self.ticket.price()
    }

    /// Whether it is time to sign for more: half of the last step is used, and the budget has more.
    pub fn is_due(&self, used: Amount) -> bool {
        let left = self.authorized().checked_sub(used).unwrap_or(Amount::ZERO);
        left.get() <= self.step.get() >> 1 && self.authorized() < self.budget()
    }

    /// Signs for a step more, and for `used` and a step if that is more. The steps of a stream that uses them up
    /// at once grow.
    ///
    /// # Errors
    /// [`PolicyError::Price`] where the budget has nothing left; and all that [`Client::authorize`] fails with.
    pub async fn extend(&mut self, used: Amount) -> Result<&CredentialBody, ClientError> {
        self.grow();
        let behind = used.checked_sub(self.authorized()).unwrap_or(Amount::ZERO);
        self.sign_for(behind.checked_add(self.step).unwrap_or(Amount::MAX)).await
    }

    /// The same for a stream of calls: each may cost what the policy allows for one, and is signed for by itself.
    #[cfg(feature = "ws")]
    pub(super) fn of_calls(self) -> Self {
        Self { budget: None, ..self }
    }

    /// Signs for what `used` is beyond what was signed for, and no more.
    #[cfg(feature = "ws")]
    pub(super) async fn cover(&mut self, used: Amount) -> Result<(), ClientError> {
        match used.checked_sub(self.authorized()) {
            Some(missing) if !missing.is_zero() => self.sign_for(missing).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Signs for a step more, and at the least what makes the ceiling that of `required`, which the service asked
    /// for. Its word alone justifies that only within the budget.
    ///
    /// # Errors
    /// Those of [`Self::extend`].
    pub async fn extend_to(&mut self, required: Seq) -> Result<&CredentialBody, ClientError> {
        let missing = self.ledger().await?.missing_to(required);
        self.grow();
        self.sign_for(missing.max(self.step)).await
    }

    /// The service had to wait: the steps are too small, though it took a while to find that out.
    fn waited_for(&mut self) {
        self.step = Amount::new(self.step.get().saturating_mul(2));
    }

    /// Steps that are used up at once are doubled.
    fn grow(&mut self) {
        if self.stepped.elapsed() < SHORT {
            self.step = Amount::new(self.step.get().saturating_mul(2));
        }
    }

    async fn sign_for(&mut self, extra: Amount) -> Result<&CredentialBody, ClientError> {
        let left = self.budget().checked_sub(self.authorized()).unwrap_or(Amount::ZERO);
        if left.is_zero() {
            let price = self.authorized().checked_add(extra).unwrap_or(Amount::MAX);
            return Err(PolicyError::Price { price, max: self.budget() }.into());
        }
        let extra = extra.min(left).max(Amount::new(1));
        let (agreed, takes_unused) = (self.budget, self.budget.is_some());
        let ask = Ask { price: extra, agreed, takes_unused, ..Ask::default() };
        self.client.extend(&mut self.ticket, &self.document, ask).await?;
        self.stepped = Instant::now();
        Ok(self.ticket.credential())
    }

    /// Sends the newest credential to the service, by the operation that there is for it beside the stream.
    pub async fn post(&self) -> Result<(), ClientError> {
        self.send(self.credential().seq).await
    }

    async fn send(&self, seq: Seq) -> Result<(), ClientError> {
        let (client, channel) = (&self.client, self.channel());
        client.ask::<ChannelStatus>(&self.service, channel, Operation::Raise, seq).await.map(drop)
    }

    /// The highest seq that this signer has signed, on whichever call.
    pub(super) async fn signed(&self) -> Result<Seq, ClientError> {
        Ok(self.ledger().await?.last_signed)
    }

    /// The channel's books as they are now.
    async fn ledger(&self) -> Result<Ledger, ClientError> {
        Ok(self.client.inner.store.load(self.channel().id).await?.ledger)
    }

    /// The seq that this stream waits for, as the service says.
    pub async fn asked_for(&self) -> Result<Option<Seq>, ClientError> {
        self.ticket.is_under_way().await?;
        let status = self.client.status_with(&self.service, self.channel(), self.begun_with).await?;
        Ok(status.required_seq)
    }

    /// Looks whether the service waits for this stream: the seq that is to be signed for it.
    pub(super) async fn look(&mut self) -> Result<Option<Seq>, ClientError> {
        let asked = match self.asked_for().await {
            Err(error @ ClientError::Overcharged { .. }) => return Err(error),
            // it may be that the service has nothing to say: a failed question is no reason to end a stream
            asked => asked.ok().flatten(),
        };
        let signed = self.signed().await?;
        let before = std::mem::replace(&mut self.covered, asked.map(|_| signed));
        let Some(required) = asked else { return Ok(None) };
        if required > signed {
            self.waited_for();
            return Ok(Some(required));
        }
        // what another call has signed covers it: by the next look it was lost, or never sent
        if let Some(signed) = before.filter(|signed| *signed >= required) {
            let _ = self.send(signed).await;
        }
        Ok(None)
    }

    /// The stream has ended. `cost`: what the service says it cost, or `None` where it does not; `counted`: the most
    /// that it can have cost by what was received; `spent`: the total, as the service says.
    ///
    /// # Errors
    /// [`ClientError::Overcharged`] where it cost more than what was counted, or than the budget: nothing more is paid
    /// to the service then.
    pub async fn end(
        self,
        cost: Option<Amount>,
        counted: Amount,
        spent: Option<Amount>,
    ) -> Result<Ledger, ClientError> {
        // what was counted is the price that was agreed to: more is a fraud, and ends all payments
        let most = counted.min(self.budget());
        let cost = cost.unwrap_or(most);
        if cost > most {
            return self.ticket.at_most(most).answered(Some(cost), spent).await;
        }
        self.ticket.answered(Some(cost), spent).await
    }
}

impl std::fmt::Debug for Tab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let credential = self.credential();
        write!(f, "Tab({}, seq {}, {})", credential.channel, credential.seq, self.authorized())
    }
}
