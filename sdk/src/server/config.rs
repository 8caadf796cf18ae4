mod check;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::{Pricing, PricingMode, PricingTable, RouteRate};
use amp_protocol::money::{Amount, UnitPrice};
use amp_protocol::rate::{Per, Rate};
use amp_protocol::text::network;
use solana_address::Address;

use super::events::{MoneyEvent, Observer};
use super::health::HealthLimits;
use super::ledger::Limits;
use super::outage;
use super::prices::PriceList;
use crate::chain::{self, FeePolicy};
use crate::signer::Signer;
pub use check::ConfigError;

/// Shortest settle interval that is served where nothing else is configured, in seconds. A channel at
/// its rate limit can only be served on once it is settled, so its interval is how often the client
/// can make the service pay a fee.
const LEAST_SETTLE_INTERVAL: u32 = 60;

/// What a service charges and whom it serves.
#[derive(Clone)]
pub struct ServiceConfig {
    pub(crate) recipient: Arc<dyn Signer>,
    program_id: Option<Address>,
    pub(crate) network: String,
    /// As configured. What is charged now is in [`Core::prices`](super::service::Core).
    prices: PriceList,
    pub(crate) unit_price: UnitPrice,
    pub(crate) seq_window: u32,
    pub(crate) min_close_grace: u32,
    pub(crate) max_delegates: u32,
    pub(crate) channel_max_age: Duration,
    pub(crate) watch_interval: Duration,
    pub(crate) outage_exposure: Amount,
    pub(crate) peer_lookups: (u32, u32),
    pub(crate) settle_every: Option<u32>,
    pub(crate) min_settle_interval: Option<u32>,
    pub(crate) min_settlement: Amount,
    pub(crate) close_deadline: Duration,
    pub(crate) in_flight_wait: Duration,
    pub(crate) stream_wait: Duration,
    pub(crate) priority_fee: FeePolicy,
    pub(crate) kept_answer_limit: usize,
    pub(crate) keep_answers: Duration,
    pub(crate) health_limits: HealthLimits,
    pub(crate) observer: Observer,
}

/// Which answers are paid for. One that is not still uses up its seq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargeOn {
    /// Those with a status below 400.
    #[default]
    Success,
    /// All that the handler gave, and those that it was still working on when the client went away.
    Always,
}

impl ServiceConfig {
    /// A service that is paid `price_per_call` base units of `mint` for every call, unless
    /// [`Self::route`] says otherwise. `recipient` signs settlements and pays their fees.
    ///
    /// Everything else has a default: local network, the program recorded for it, deposits of one
    /// call or more, settlement every hour, an hour of close grace.
    pub fn new(recipient: Arc<dyn Signer>, mint: Address, price_per_call: Amount) -> Self {
        let default = Pricing {
            mode: PricingMode::PerCall,
            rate: price_per_call,
            per: Per::ONE,
            token: mint.to_bytes().into(),
            min_deposit: price_per_call,
            settle_interval: 3_600,
        };
        Self {
            recipient,
            program_id: None,
            network: network::LOCALNET.to_owned(),
            prices: PriceList::new(PricingTable { default, routes: BTreeMap::new(), tools: BTreeMap::new() }),
            unit_price: UnitPrice::ONE,
            seq_window: 64,
            min_close_grace: 3_600,
            max_delegates: 16,
            channel_max_age: Duration::from_secs(15),
            watch_interval: Duration::from_secs(30),
            outage_exposure: Amount::ZERO,
            peer_lookups: (16, 128),
            settle_every: None,
            min_settle_interval: None,
            min_settlement: Amount::ZERO,
            close_deadline: Duration::from_secs(600),
            in_flight_wait: Duration::from_secs(30),
            stream_wait: Duration::from_secs(10),
            priority_fee: FeePolicy::default(),
            kept_answer_limit: 64 * 1024,
            keep_answers: Duration::from_secs(24 * 3_600),
            health_limits: HealthLimits::default(),
            observer: Observer::default(),
        }
    }

    /// The price of a call below `prefix`, in base units; zero is free. The longest prefix wins.
    pub fn route(mut self, prefix: impl Into<String>, rate: Amount) -> Self {
        self.prices.table.routes.insert(prefix.into(), RouteRate::per_call(rate));
        self
    }

    /// The price of what is counted below `prefix`: by the byte, by the second, or by what its handlers report to
    /// their [`Meter`](super::Meter). The longest prefix wins.
    pub fn metered_route(mut self, prefix: impl Into<String>, mode: PricingMode, rate: Rate) -> Self {
        self.prices.table.routes.insert(prefix.into(), RouteRate::metered(mode, rate));
        self
    }

    /// The price of a call of a tool, in base units; zero is free. Tools that are not named cost the default.
    pub fn tool(mut self, name: impl Into<String>, rate: Amount) -> Self {
        self.prices.table.tools.insert(name.into(), RouteRate::per_call(rate));
        self
    }

    /// The price of what is counted of a tool's calls: the seconds of its work, the bytes of its result, or what it
    /// reports to its [`Meter`](super::Meter).
    pub fn metered_tool(mut self, name: impl Into<String>, mode: PricingMode, rate: Rate) -> Self {
        self.prices.table.tools.insert(name.into(), RouteRate::metered(mode, rate));
        self
    }

    /// All prices at once; its default's token is the accepted mint.
    pub fn pricing(mut self, pricing: PricingTable) -> Self {
        self.prices.table = pricing;
        self
    }

    /// What a call costs where nothing else is said, by what is counted.
    pub fn default_rate(mut self, mode: PricingMode, rate: Rate) -> Self {
        let default = &mut self.prices.table.default;
        (default.mode, default.rate, default.per) = (mode, rate.amount, rate.per);
        self
    }

    /// All that is charged: for [`AmpService::reprice`](super::AmpService::reprice), and to see what a request would
    /// cost where none is served.
    pub fn price_list(&self) -> &PriceList {
        &self.prices
    }

    /// The smallest deposit that is served, in base units.
    pub fn min_deposit(mut self, amount: Amount) -> Self {
        self.prices.table.default.min_deposit = amount;
        self
    }

    /// The longest settle interval of a channel that is served, in seconds; also how often the
    /// service settles, unless [`Self::settle_every`] says otherwise.
    pub fn settle_interval(mut self, seconds: u32) -> Self {
        self.prices.table.default.settle_interval = seconds;
        self
    }

    /// Seconds between settlements of a channel; never less than the channel's own interval.
    pub fn settle_every(self, seconds: u32) -> Self {
        Self { settle_every: Some(seconds), ..self }
    }

    /// The shortest settle interval of a channel that is served, in seconds; 60 or, where that is
    /// less, [`Self::settle_interval`] unless set. It bounds how often a client can make the service
    /// pay for a settlement.
    pub fn min_settle_interval(self, seconds: u32) -> Self {
        Self { min_settle_interval: Some(seconds), ..self }
    }

    /// The least that is worth the fee of a settlement nobody asked for, in base units; 0, unless set:
    /// any. What is less waits until there is more, or until the channel closes or its delegate's time
    /// ends. A channel whose rate limit would never let so much be owed is not served, nor is a delegate
    /// whose limit is less.
    pub fn min_settlement(self, amount: Amount) -> Self {
        Self { min_settlement: amount, ..self }
    }

    /// One of [`amp_protocol::text::network`].
    pub fn network(self, name: impl Into<String>) -> Self {
        Self { network: name.into(), ..self }
    }

    /// The program that channels belong to. Default: the one that is [recorded](chain::program_id) for the
    /// network; where none is, it must be given.
    pub fn program_id(self, program_id: Address) -> Self {
        Self { program_id: Some(program_id), ..self }
    }

    /// The unit price that clients are advised to open channels with.
    pub fn unit_price(self, unit_price: UnitPrice) -> Self {
        Self { unit_price, ..self }
    }

    /// How many accepted seqs are remembered, so that parallel requests may arrive out of order; 0:
    /// strictly increasing.
    pub fn seq_window(self, seqs: u32) -> Self {
        Self { seq_window: seqs, ..self }
    }

    /// The shortest close grace of a channel that is served, in seconds; it is the grace after a
    /// delegate's end, too. With 0 a funder may take back what is not settled yet: for tests.
    pub fn min_close_grace(self, seconds: u32) -> Self {
        Self { min_close_grace: seconds, ..self }
    }

    /// Most delegates of a channel that are served at a time; 16, unless set. It bounds the signature
    /// checks that a request of nobody's key costs. Of more, those made first are served; ended ones
    /// don't count. With 0 none is, and the chain is never searched for them.
    ///
    /// It bounds the settlements that a channel can need as well: while more than this many and one signers
    /// of it owe, ended ones too, no delegate that owes nothing is served.
    pub fn max_delegates(self, delegates: u32) -> Self {
        Self { max_delegates: delegates, ..self }
    }

    /// How old the service's view of a channel and its delegations may be when it serves a request: a
    /// revoked delegate is served for so long.
    pub fn channel_max_age(self, age: Duration) -> Self {
        Self { channel_max_age: age, ..self }
    }

    /// How often the worker looks at every channel: for close requests, for revoked and expired
    /// delegates that owe something, and for what is due.
    pub fn watch_interval(self, interval: Duration) -> Self {
        Self { watch_interval: interval, ..self }
    }

    /// Most that may be admitted on old views while the chain does not answer, in base units, all channels
    /// together; 0, unless set: then nothing is served on a view older than [`Self::channel_max_age`].
    ///
    /// It is what an outage can cost. Of a channel whose funder asks for a close meanwhile, nobody knows; where
    /// the chain stays away until its grace is over, all that it owes is lost, and what was admitted
    /// during the outage is the part that need not have been served. What is given back, and what was admitted on
    /// a channel that has been looked at since, does not count.
    ///
    /// Only channels are served on that were looked at before, that were open then, and for requests that
    /// their authorized signer signed. And only until the view is half of [`Self::min_close_grace`] old, or
    /// until a `watch_interval` and a `channel_max_age` are left of it, whichever comes first: a close that was
    /// asked for right after the last look is still collected if the chain is back within the rest.
    pub fn outage_exposure(self, amount: Amount) -> Self {
        Self { outage_exposure: amount, ..self }
    }

    /// How many look-ups at the chain a peer can cause with channels that are not known and with signatures
    /// that are nobody's: so many a second in the long run, and `burst` at once; 16 and 128, unless set. What
    /// goes beyond is refused with 503 and `retry_after`. Requests on known channels, and all that prove to be
    /// signed by whoever they name, cost none of it.
    ///
    /// It holds where the peer is known: see [`AmpLayer`](super::AmpLayer) and
    /// [`AmpService::for_peer`](super::AmpService::for_peer).
    pub fn peer_lookups(self, per_second: u32, burst: u32) -> Self {
        Self { peer_lookups: (per_second, burst), ..self }
    }

    /// How long a funder has to use a close statement before the service closes the channel itself.
    pub fn close_deadline(self, deadline: Duration) -> Self {
        Self { close_deadline: deadline, ..self }
    }

    /// How long a close waits for requests in flight. What is not done by then is not served.
    pub fn in_flight_wait(self, wait: Duration) -> Self {
        Self { in_flight_wait: wait, ..self }
    }

    /// How long a stream that has reached the ceiling waits for its client to sign more; 10 s, unless set. It ends
    /// then, with what was delivered.
    pub fn stream_wait(self, wait: Duration) -> Self {
        Self { stream_wait: wait, ..self }
    }

    /// Priority fee of settlements, chainings and closes: a [`PriorityFee`](crate::chain::PriorityFee), or
    /// what was paid lately, up to a limit. None, unless set.
    pub fn priority_fee(self, fee: impl Into<FeePolicy>) -> Self {
        Self { priority_fee: fee.into(), ..self }
    }

    /// Which answers are paid for, unless [`Self::route_charges_on`] says otherwise.
    pub fn charge_on(mut self, charge_on: ChargeOn) -> Self {
        self.prices.charge_on = charge_on;
        self
    }

    /// Which answers below `prefix` are paid for; [`Self::charge_on`] holds for all others. The longest
    /// prefix wins.
    pub fn route_charges_on(mut self, prefix: impl Into<String>, charge_on: ChargeOn) -> Self {
        self.prices.routes.insert(prefix.into(), charge_on);
        self
    }

    /// Which results of a tool are paid for; [`Self::charge_on`] holds for all others.
    pub fn tool_charges_on(mut self, name: impl Into<String>, charge_on: ChargeOn) -> Self {
        self.prices.tools.insert(name.into(), charge_on);
        self
    }

    /// The largest answer that is kept for a request with an `Idempotency-Key`, in bytes of its body; 64 KiB,
    /// unless set, and at most 1 MiB. Of a larger one is kept that it was paid for.
    pub fn kept_answer_limit(self, bytes: usize) -> Self {
        Self { kept_answer_limit: bytes, ..self }
    }

    /// How long such answers are kept; a day, unless set. A client that repeats its request later than that
    /// pays again.
    pub fn keep_answers(self, time: Duration) -> Self {
        Self { keep_answers: time, ..self }
    }

    /// The program that channels belong to.
    pub(crate) fn program(&self) -> Result<Address, ConfigError> {
        let program_id = self.program_id.or_else(|| chain::program_id(&self.network));
        program_id.ok_or_else(|| ConfigError::NoProgram { network: self.network.clone() })
    }

    /// Tells `observer` of charges that are on disk, of settlements that the chain has booked, and of channels that
    /// are gone. It is called where requests are answered: it must be quick, and wait for nothing. What a crash cuts
    /// off is not told again: the books are the store's.
    pub fn observe(self, observer: impl Fn(MoneyEvent) + Send + Sync + 'static) -> Self {
        Self { observer: Observer::new(observer), ..self }
    }

    /// See [`outage::oldest_view`].
    pub(crate) fn oldest_view(&self) -> Duration {
        outage::oldest_view(self.min_close_grace, self.watch_interval.saturating_add(self.channel_max_age))
    }

    /// What admission bounds. As many may owe as are served at a time: the delegates, and the authorized
    /// signer.
    pub(crate) fn limits(&self) -> Limits {
        let max_owing = usize::try_from(self.max_delegates).unwrap_or(usize::MAX).saturating_add(1);
        Limits { seq_window: self.seq_window, max_owing }
    }

    /// The accepted mint.
    pub(crate) fn mint(&self) -> Address {
        Address::from(self.prices.table.default.token.0)
    }

    /// Seconds between settlements that nobody asked for.
    pub(crate) fn routine_interval(&self) -> u32 {
        self.settle_every.unwrap_or(self.longest_settle_interval())
    }

    /// The longest settle interval that is served.
    pub(crate) fn longest_settle_interval(&self) -> u32 {
        self.prices.table.default.settle_interval
    }

    /// The smallest deposit that is served.
    pub(crate) fn least_deposit(&self) -> Amount {
        self.prices.table.default.min_deposit
    }

    /// The shortest settle interval that is served.
    pub(crate) fn least_settle_interval(&self) -> u32 {
        self.min_settle_interval.unwrap_or(LEAST_SETTLE_INTERVAL.min(self.longest_settle_interval()))
    }
}

#[cfg(test)]
mod tests;
