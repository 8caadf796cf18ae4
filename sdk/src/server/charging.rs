//! Which answers of a route or tool are paid for. What a failure costs the service differs between them:
//! one that pays a supplier before it knows that it fails charges always, the others on success.

use std::collections::BTreeMap;

use amp_protocol::json::longest_prefix;

use super::config::{ChargeOn, ServiceConfig};
use super::service::AmpService;

/// The routes that are charged otherwise than the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChargedRoutes(BTreeMap<String, ChargeOn>);

impl ChargedRoutes {
    /// The treatment of a path, found as its price is.
    fn of(&self, path: &str) -> Option<ChargeOn> {
        longest_prefix(&self.0, path).copied()
    }

    /// The configured prefixes.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

impl ChargeOn {
    /// The one that charges for more.
    pub(crate) fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Success, Self::Success) => Self::Success,
            (Self::Always, _) | (_, Self::Always) => Self::Always,
        }
    }
}

impl ServiceConfig {
    /// Which answers below `prefix` are paid for; [`Self::charge_on`] holds for all others. The longest
    /// prefix wins.
    pub fn route_charges_on(mut self, prefix: impl Into<String>, charge_on: ChargeOn) -> Self {
        self.charged_routes.0.insert(prefix.into(), charge_on);
        self
    }

    /// Which results of a tool are paid for; [`Self::charge_on`] holds for all others.
    pub fn tool_charges_on(mut self, name: impl Into<String>, charge_on: ChargeOn) -> Self {
        self.charged_tools.insert(name.into(), charge_on);
        self
    }
}

impl AmpService {
    /// Which answers of a path are paid for. A transport whose paths have several spellings asks for each,
    /// and charges always where one of them is.
    pub fn charges_on(&self, path: &str) -> ChargeOn {
        let config = &self.core.config;
        config.charged_routes.of(path).unwrap_or(config.charge_on)
    }

    /// Which results of a tool are paid for.
    pub fn tool_charges_on(&self, name: &str) -> ChargeOn {
        let config = &self.core.config;
        config.charged_tools.get(name).copied().unwrap_or(config.charge_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_protocol::json::{Pricing, PricingMode, PricingTable, RouteRate};
    use amp_protocol::money::Amount;
    use amp_protocol::rate::Per;
    use proptest::prelude::*;

    #[test]
    fn of_two_treatments_the_stricter_is_the_one_that_charges_for_more() {
        use ChargeOn::{Always, Success};
        assert_eq!(Success.stricter(Success), Success);
        for (one, other) in [(Success, Always), (Always, Success), (Always, Always)] {
            assert_eq!(one.stricter(other), Always);
        }
    }

    /// A price list in which every prefix that charges always costs 1.
    fn priced(routes: &ChargedRoutes) -> PricingTable {
        let default = Pricing {
            mode: PricingMode::PerCall,
            rate: Amount::ZERO,
            per: Per::ONE,
            token: [0; 32].into(),
            min_deposit: Amount::ZERO,
            settle_interval: 60,
        };
        let rate = |charge_on: &ChargeOn| {
            RouteRate::per_call(Amount::new(u64::from(*charge_on == ChargeOn::Always)))
        };
        let rates = routes.0.iter().map(|(prefix, charge_on)| (prefix.clone(), rate(charge_on))).collect();
        PricingTable { default, routes: rates, tools: BTreeMap::new() }
    }

    proptest! {
        /// One rule for prices and for this: an operator writes both with the same prefixes.
        #[test]
        fn a_prefix_covers_the_paths_that_a_price_with_it_does(
            routes in prop::collection::btree_map("(/[ab]?){1,3}", any::<bool>(), 0..6),
            path in "(/[ab]{0,2}){1,4}",
        ) {
            let on = |always: bool| if always { ChargeOn::Always } else { ChargeOn::Success };
            let routes = ChargedRoutes(routes.into_iter().map(|(at, always)| (at, on(always))).collect());
            let by_price = priced(&routes).for_route(&path).rate == Amount::new(1);
            prop_assert_eq!(routes.of(&path).unwrap_or_default() == ChargeOn::Always, by_price);
        }
    }
}
