//! The shape of `amp.toml`. Whatever may be wrong later keeps where it stood.

use std::collections::BTreeMap;

use amp_protocol::json::PricingMode;
use serde::Deserialize;
use toml::Spanned;

/// The whole file; everything may be missing here, as the command line may say it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<Spanned<String>>,
    pub(super) operations: Option<Spanned<String>>,
    pub(super) operator_token_file: Option<Spanned<String>>,
    pub(super) dry: bool,
    pub(super) trusted_proxies: Vec<Spanned<String>>,
    pub(super) upstream: UpstreamTable,
    pub(super) clients: ClientTable,
    pub(super) chain: ChainTable,
    pub(super) service: ServiceTable,
    pub(super) store: StoreTable,
    pub(super) settlement: SettlementTable,
    pub(super) prices: PriceTable,
    pub(super) route: Vec<RouteTable>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamTable {
    pub(super) url: Option<Spanned<String>>,
    pub(super) preserve_host: bool,
    pub(super) connect_timeout: Option<Spanned<u32>>,
    pub(super) answer_timeout: Option<Spanned<u32>>,
    pub(super) idle_timeout: Option<Spanned<u32>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientTable {
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) connections_per_address: Option<Spanned<u32>>,
    pub(super) head_timeout: Option<Spanned<u32>>,
    pub(super) keep_alive: Option<Spanned<u32>>,
    pub(super) idle_timeout: Option<Spanned<u32>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ChainTable {
    pub(super) rpc: Option<Spanned<String>>,
    pub(super) websocket: Option<Spanned<String>>,
    pub(super) network: Option<Spanned<String>>,
    pub(super) program: Option<Spanned<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceTable {
    pub(super) keypair: Option<Spanned<String>>,
    pub(super) mint: Option<Spanned<String>>,
    pub(super) min_deposit: Option<Spanned<String>>,
    pub(super) min_close_grace: Option<Spanned<u32>>,
    pub(super) max_delegates: Option<Spanned<u32>>,
    pub(super) seq_window: Option<Spanned<u32>>,
    pub(super) stream_wait: Option<Spanned<u32>>,
    pub(super) outage_exposure: Option<Spanned<String>>,
    pub(super) max_message: Option<Spanned<usize>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreTable {
    pub(super) sqlite: Option<Spanned<String>>,
    pub(super) postgres: Option<Spanned<String>>,
    pub(super) schema: Option<Spanned<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettlementTable {
    pub(super) interval: Option<Spanned<u32>>,
    pub(super) every: Option<Spanned<u32>>,
    pub(super) min_interval: Option<Spanned<u32>>,
    pub(super) min_amount: Option<Spanned<String>>,
    pub(super) watch_interval: Option<Spanned<u32>>,
    pub(super) max_fee_lamports: Option<Spanned<u64>>,
    pub(super) drain: Option<Spanned<u32>>,
}

/// A price; of `[prices]`, what is not said elsewhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PriceTable {
    pub(super) price: Option<Spanned<String>>,
    pub(super) mode: Option<Spanned<PricingMode>>,
    pub(super) per: Option<Spanned<u64>>,
    pub(super) charge: Option<Charge>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteTable {
    pub(super) path: Spanned<String>,
    pub(super) price: Spanned<String>,
    #[serde(default)]
    pub(super) mode: Option<Spanned<PricingMode>>,
    #[serde(default)]
    pub(super) per: Option<Spanned<u64>>,
    #[serde(default)]
    pub(super) charge: Option<Charge>,
}

/// Which answers are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Charge {
    /// Those below 400.
    Success,
    /// Those below 500, and those that the client did not wait for.
    Answered,
}

impl File {
    /// The values that only a restart takes up, by table, as they were written.
    pub(super) fn fixed(text: &str) -> BTreeMap<String, toml::Value> {
        let mut tables: BTreeMap<String, toml::Value> = toml::from_str(text).unwrap_or_default();
        for priced in ["prices", "route"] {
            tables.remove(priced);
        }
        tables
    }
}
