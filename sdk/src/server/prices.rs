//! What is charged, and how it changes while a service runs.
//!
//! A request takes the list once, at its beginning, and is served by it to its end: so it costs what its client was
//! told, however often prices change meanwhile.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter;
use std::sync::{Arc, PoisonError, RwLock};

use amp_protocol::json::{Pricing, PricingTable, longest_prefix, longest_prefix_in_any_case};
use amp_protocol::money::Amount;

use super::config::{ChargeOn, ConfigError, ServiceConfig};
use super::readings::other_readings;
use super::service::AmpService;

/// What requests cost, and which answers are paid for.
#[derive(Clone, Debug)]
pub struct PriceList {
    pub(super) table: PricingTable,
    pub(super) charge_on: ChargeOn,
    /// The routes that are charged otherwise than the rest, and the tools: what a failure costs the service
    /// differs between them. One that pays a supplier before it knows that it fails charges always.
    pub(super) routes: BTreeMap<String, ChargeOn>,
    pub(super) tools: BTreeMap<String, ChargeOn>,
}

/// What applies to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it costs; a rate of zero is free.
    pub pricing: Pricing,
    /// Which answers are paid for.
    pub charge_on: ChargeOn,
}

impl PriceList {
    pub(super) fn new(table: PricingTable) -> Self {
        let (routes, tools) = Default::default();
        Self { table, charge_on: ChargeOn::Success, routes, tools }
    }

    /// The prices, as the discovery document has them.
    pub fn table(&self) -> &PricingTable {
        &self.table
    }

    /// What applies to a request of `path`: the highest price, and the strictest charging, of all readings that a
    /// service behind the layer may give it. By its raw bytes alone, `/v1/%63hat` or `/free/../v1` would reach a
    /// priced route unpaid.
    ///
    /// `None` where the readings can't be compared, for they count different things: the cheaper would be
    /// anybody's choice.
    pub fn for_request(&self, path: &str) -> Option<Terms> {
        let readings = iter::once(Cow::Borrowed(path)).chain(other_readings(path));
        // many a router does not tell /V1 from /v1
        let mut all = readings.flat_map(|reading| [self.for_reading(&reading), self.for_any_case(&reading)]);
        let first = all.next()?;
        all.try_fold(first, Terms::stricter)
    }

    fn for_reading(&self, path: &str) -> Terms {
        Terms { pricing: self.table.for_route(path), charge_on: self.charges_on(path) }
    }

    fn for_any_case(&self, path: &str) -> Terms {
        let charge_on = longest_prefix_in_any_case(&self.routes, path).copied();
        let pricing = self.table.for_route_in_any_case(path);
        Terms { pricing, charge_on: charge_on.unwrap_or(self.charge_on) }
    }

    /// Which answers of exactly this path are paid for: found as its price is.
    pub(super) fn charges_on(&self, path: &str) -> ChargeOn {
        longest_prefix(&self.routes, path).copied().unwrap_or(self.charge_on)
    }

    pub(super) fn tool_charges_on(&self, name: &str) -> ChargeOn {
        self.tools.get(name).copied().unwrap_or(self.charge_on)
    }

    /// The lowest rate limit that is served. Where the next price passes the limit, what is owed must
    /// be worth a settlement, or the channel would be neither settled nor served again.
    pub(super) fn least_rate_limit(&self, min_settlement: Amount) -> Amount {
        if min_settlement.is_zero() {
            return Amount::ZERO;
        }
        let rates = self.table.routes.values().chain(self.table.tools.values()).map(|route| route.rate);
        let highest = rates.fold(self.table.default.rate, Amount::max);
        min_settlement.checked_add(highest).unwrap_or(Amount::MAX)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let mut paths = self.table.routes.keys().chain(self.routes.keys());
        match paths.find(|path| !path.starts_with('/')) {
            Some(path) => Err(ConfigError::Route(path.clone())),
            None => Ok(()),
        }
    }
}

impl Terms {
    /// The higher price, and the stricter charging; `None` where the two count different things.
    fn stricter(self, other: Self) -> Option<Self> {
        let pricing = dearer(self.pricing, other.pricing)?;
        Some(Self { pricing, charge_on: self.charge_on.stricter(other.charge_on) })
    }
}

fn dearer(one: Pricing, other: Pricing) -> Option<Pricing> {
    if one.rate.is_zero() || other.rate.is_zero() {
        return Some(if one.rate.is_zero() { other } else { one });
    }
    let same = one.mode == other.mode && one.per == other.per;
    same.then(|| if other.rate > one.rate { other } else { one })
}

impl ChargeOn {
    /// The one that charges for more.
    fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Success, Self::Success) => Self::Success,
            (Self::Always, _) | (_, Self::Always) => Self::Always,
        }
    }
}

/// The list that requests take when they begin.
pub(crate) struct CurrentPrices(RwLock<Arc<PriceList>>);

impl CurrentPrices {
    pub(crate) fn begin(list: PriceList) -> Self {
        Self(RwLock::new(Arc::new(list)))
    }

    pub(crate) fn now(&self) -> Arc<PriceList> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, list: PriceList) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }
}

impl AmpService {
    /// What is charged now. It does not change; ask again for what is charged later.
    pub fn prices(&self) -> Arc<PriceList> {
        self.core.prices.now()
    }

    /// Charges what `config` says from the next request on: rates, modes, routes, tools, and which answers are paid
    /// for, all at once. Requests and streams under way cost what they began with. Of the rest of `config` nothing is
    /// taken: the token, the smallest deposit, and the settle interval are those that the service was started with.
    ///
    /// # Errors
    /// [`ConfigError`] where the prices can't be served: nothing has changed then.
    pub fn reprice(&self, config: &ServiceConfig) -> Result<(), ConfigError> {
        let mut list = config.price_list().clone();
        list.check()?;
        let started = &self.core.config.price_list().table.default;
        let default = &mut list.table.default;
        default.token = started.token;
        (default.min_deposit, default.settle_interval) = (started.min_deposit, started.settle_interval);
        self.core.prices.replace(list);
        Ok(())
    }

    /// What applies to exactly this path.
    pub fn pricing(&self, path: &str) -> Pricing {
        self.prices().table.for_route(path)
    }

    /// What applies to a tool.
    pub fn tool_pricing(&self, name: &str) -> Pricing {
        self.prices().table.for_tool(name)
    }

    /// Which answers of a path are paid for. A transport whose paths have several spellings asks
    /// [`PriceList::for_request`].
    pub fn charges_on(&self, path: &str) -> ChargeOn {
        self.prices().charges_on(path)
    }

    /// Which results of a tool are paid for.
    pub fn tool_charges_on(&self, name: &str) -> ChargeOn {
        self.prices().tool_charges_on(name)
    }
}

#[cfg(test)]
mod tests;
