use std::collections::BTreeMap;
use std::string::String;

use serde::{Deserialize, Serialize};

use super::base58::Base58;
use crate::money::Amount;
use crate::rate::{Per, Rate};

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PricingMode {
    /// Base units a call.
    #[serde(rename = "per-call")]
    PerCall,
    /// Base units a second of a stream's wall time.
    #[serde(rename = "per-second")]
    PerSecond,
    /// Base units a byte of the response.
    #[serde(rename = "per-byte")]
    PerByte,
    /// Base units a unit of work that the handler reports.
    #[serde(rename = "per-compute")]
    PerCompute,
}

/// The price that applies to a route: the value of `AMP-Pricing`, and `pricing.default` of the
/// discovery document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pricing {
    /// What the rate counts.
    pub mode: PricingMode,
    /// Base units for every `per` counted things. Zero: free.
    pub rate: Amount,
    /// Not written where it is one.
    #[serde(default, skip_serializing_if = "Per::is_one")]
    pub per: Per,
    /// The mint that is accepted.
    pub token: Base58<32>,
    /// Smallest deposit that is served, in base units.
    #[serde(alias = "minDeposit")]
    pub min_deposit: Amount,
    /// Seconds between settlements that the service asks for: a channel's may not be longer.
    #[serde(alias = "settleInterval")]
    pub settle_interval: u32,
}

/// A route's or tool's own mode and rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRate {
    /// What the rate counts.
    pub mode: PricingMode,
    /// Base units for every `per` counted things. Zero: free.
    pub rate: Amount,
    /// Not written where it is one.
    #[serde(default, skip_serializing_if = "Per::is_one")]
    pub per: Per,
}

impl RouteRate {
    /// `rate` base units a call.
    pub const fn per_call(rate: Amount) -> Self {
        Self { mode: PricingMode::PerCall, rate, per: Per::ONE }
    }

    /// A price by `mode`.
    pub const fn metered(mode: PricingMode, rate: Rate) -> Self {
        Self { mode, rate: rate.amount, per: rate.per }
    }
}

impl Pricing {
    /// What counted things cost.
    pub const fn rate(&self) -> Rate {
        Rate { amount: self.rate, per: self.per }
    }

    /// Whether something is counted while the answer leaves, and the cost is not known before.
    pub fn is_metered(&self) -> bool {
        self.mode != PricingMode::PerCall
    }
}

/// All prices of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricingTable {
    /// Where nothing else matches.
    pub default: Pricing,
    /// By path prefix; the longest match wins.
    #[serde(default)]
    pub routes: BTreeMap<String, RouteRate>,
    /// By tool name.
    #[serde(default)]
    pub tools: BTreeMap<String, RouteRate>,
}

impl PricingTable {
    /// The price of a path: that of its [longest prefix](longest_prefix).
    pub fn for_route(&self, path: &str) -> Pricing {
        self.with(longest_prefix(&self.routes, path))
    }

    /// The same where capitals and small letters are one.
    pub fn for_route_in_any_case(&self, path: &str) -> Pricing {
        self.with(longest_prefix_in_any_case(&self.routes, path))
    }

    /// The price of a tool.
    pub fn for_tool(&self, name: &str) -> Pricing {
        self.with(self.tools.get(name))
    }

    fn with(&self, rate: Option<&RouteRate>) -> Pricing {
        let default = self.default.clone();
        rate.map_or(default.clone(), |own| Pricing {
            mode: own.mode,
            rate: own.rate,
            per: own.per,
            ..default
        })
    }
}

/// What is said of the longest prefix that covers a path. A prefix ends at a segment boundary: `/v1/chat`
/// covers `/v1/chat` and `/v1/chat/x`, not `/v1/chatter`; with a slash at its end it covers what is below it.
pub fn longest_prefix<'a, V>(routes: &'a BTreeMap<String, V>, path: &str) -> Option<&'a V> {
    longest(routes, path, |start, prefix| start == prefix)
}

/// The same where capitals and small letters (of ASCII) are one.
pub fn longest_prefix_in_any_case<'a, V>(routes: &'a BTreeMap<String, V>, path: &str) -> Option<&'a V> {
    longest(routes, path, <[u8]>::eq_ignore_ascii_case)
}

fn longest<'a, V>(
    routes: &'a BTreeMap<String, V>,
    path: &str,
    is_same: impl Fn(&[u8], &[u8]) -> bool,
) -> Option<&'a V> {
    let covers = |prefix: &str| {
        let split = path.as_bytes().split_at_checked(prefix.len());
        split.is_some_and(|(start, rest)| {
            is_same(start, prefix.as_bytes()) && (prefix.ends_with('/') || matches!(rest, [] | [b'/', ..]))
        })
    };
    let matches = routes.iter().filter(|(prefix, _)| covers(prefix));
    matches.max_by_key(|(prefix, _)| prefix.len()).map(|(_, said)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> PricingTable {
        serde_json::from_value(serde_json::json!({
            "default": {"mode": "per-call", "rate": "1", "token": Base58([1; 32]), "minDeposit": "5", "settleInterval": 60},
            "routes": {
                "/v1": {"mode": "per-call", "rate": 2},
                "/v1/chat": {"mode": "per-second", "rate": "3"},
                "/free/": {"mode": "per-call", "rate": "0"}
            }
        }))
        .unwrap()
    }

    #[test]
    fn the_longest_prefix_wins_and_ends_at_a_segment() {
        let rate = |path: &str| table().for_route(path).rate.get();
        for (path, expected) in [
            ("/", 1),
            ("/v1", 2),
            ("/v1/x", 2),
            ("/v1/chat", 3),
            ("/v1/chat/x", 3),
            ("/v1/chatter", 2),
            ("/v10", 1),
            ("/free/x", 0),
            ("/free", 1),
        ] {
            assert_eq!(rate(path), expected, "{path}");
        }
    }

    #[test]
    fn a_rate_may_buy_many_and_says_so() {
        let metered = Rate { amount: Amount::new(1), per: Per::new(1024).unwrap() };
        let route = RouteRate::metered(PricingMode::PerByte, metered);
        let text = serde_json::to_string(&route).unwrap();
        assert_eq!(text, r#"{"mode":"per-byte","rate":"1","per":"1024"}"#);
        assert_eq!(serde_json::from_str::<RouteRate>(&text).unwrap(), route);
        let each = serde_json::to_string(&RouteRate::per_call(Amount::new(2))).unwrap();
        assert_eq!(each, r#"{"mode":"per-call","rate":"2"}"#);
        assert!(serde_json::from_str::<RouteRate>(r#"{"mode":"per-byte","rate":"1","per":"0"}"#).is_err());
    }

    #[test]
    fn pricing_is_written_in_snake_case() {
        let text = serde_json::to_string(&table()).unwrap();
        assert!(text.contains("\"min_deposit\":\"5\"") && text.contains("\"settle_interval\":60"), "{text}");
    }
}
