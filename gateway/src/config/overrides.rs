use toml::Spanned;

use super::file::File;
use super::problem::COMMAND_LINE;

/// What the command line says; it goes before the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Where the API is.
    pub upstream: Option<String>,
    /// Where clients connect.
    pub listen: Option<String>,
    /// Where the operator's tools connect.
    pub operations: Option<String>,
    /// What a call costs, in tokens.
    pub price: Option<String>,
    /// The service's keypair file.
    pub keypair: Option<String>,
    /// The accepted mint.
    pub mint: Option<String>,
    /// The cluster's RPC address.
    pub rpc: Option<String>,
    /// The cluster's name.
    pub network: Option<String>,
    /// The AMP program.
    pub program: Option<String>,
    /// The SQLite file.
    pub store: Option<String>,
    /// Seconds between settlements, and the longest interval of a channel that is served.
    pub settle_interval: Option<u32>,
    /// Where the operator's token is.
    pub operator_token_file: Option<String>,
    /// Nothing is charged; what would be is logged.
    pub dry: bool,
}

impl Overrides {
    pub(super) fn apply(self, file: &mut File) {
        let said = |value: String| Spanned::new(COMMAND_LINE, value);
        let pairs = [
            (&mut file.upstream.url, self.upstream),
            (&mut file.listen, self.listen),
            (&mut file.operations, self.operations),
            (&mut file.prices.price, self.price),
            (&mut file.service.keypair, self.keypair),
            (&mut file.service.mint, self.mint),
            (&mut file.chain.rpc, self.rpc),
            (&mut file.chain.network, self.network),
            (&mut file.chain.program, self.program),
            (&mut file.operator_token_file, self.operator_token_file),
        ];
        for (at, value) in pairs {
            if let Some(value) = value {
                *at = Some(said(value));
            }
        }
        if let Some(store) = self.store {
            file.store.postgres = None;
            file.store.sqlite = Some(said(store));
        }
        if let Some(seconds) = self.settle_interval {
            file.settlement.interval = Some(Spanned::new(COMMAND_LINE, seconds));
        }
        file.dry |= self.dry;
    }
}
