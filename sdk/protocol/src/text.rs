//! Names on the wire: headers, paths, networks.

/// Protocol version, as in the discovery document and `AMP-Version`.
pub const AMP_VERSION: &str = "1.0";

/// HTTP header names, lower case as HTTP/2 sends them.
pub mod header {
    /// Request: the channel's address, base58.
    pub const CHANNEL: &str = "amp-channel";
    /// Request: the credential's seq, decimal.
    pub const SEQ: &str = "amp-seq";
    /// Request: the credential's signature, base58.
    pub const SIG: &str = "amp-sig";
    /// Success: deposited - spent, all signers; for a delegate at most what its limit leaves.
    pub const BALANCE: &str = "amp-balance";
    /// Success: charged to this signer so far.
    pub const SPENT: &str = "amp-spent";
    /// Success: charged for this request.
    pub const COST: &str = "amp-cost";
    /// 402: the protocol version.
    pub const VERSION: &str = "amp-version";
    /// 402: the pricing object that applies to the route, JSON.
    pub const PRICING: &str = "amp-pricing";
    /// 402: the service's key, base58.
    pub const RECIPIENT: &str = "amp-recipient";
    /// 402: the program id, base58. Clients compare it with the one they pin.
    pub const PROGRAM: &str = "amp-program";
    /// 402: the network's name.
    pub const NETWORK: &str = "amp-network";
}

/// Names of the events that a service adds to a stream of server-sent events.
pub mod event {
    /// The stream waits: its data is the error body that a request would be refused with, `required_seq`
    /// included.
    pub const NEED: &str = "amp-need";
    /// The stream is over: its data has `cost`, `spent`, `balance`, and where it ended early the `refusal`.
    pub const END: &str = "amp-end";
}

/// Paths under a service's origin.
pub mod path {
    /// The discovery document.
    pub const DISCOVERY: &str = "/.well-known/amp.json";
    /// `POST`: raises the ceiling without a request.
    pub const CREDENTIAL: &str = "/.well-known/amp/credential";
    /// `POST`, credentialed: stops service for good and returns the close statement.
    pub const CLOSE: &str = "/.well-known/amp/close";
    /// `GET`, credentialed: spent, balance, last seq, latest metering proof.
    pub const CHANNEL: &str = "/.well-known/amp/channel";
    /// All of the above but discovery begin with this.
    pub const PREFIX: &str = "/.well-known/amp/";
}

/// MCP's methods and fields.
pub mod mcp {
    /// The credential in `params`, and the receipt in a result.
    pub const FIELD: &str = "_amp";
    /// The same in `_meta`, which every MCP library keeps.
    pub const META: &str = "amp";
    /// Answers the discovery document.
    pub const PRICING: &str = "amp/pricing";
    /// Raises the ceiling without a call.
    pub const CREDENTIAL: &str = "amp/credential";
    /// Spent, balance, last seq, latest metering proof.
    pub const CHANNEL: &str = "amp/channel";
    /// Stops service for good and answers the close statement.
    pub const CLOSE: &str = "amp/close";
}

/// Names of clusters in the discovery document.
pub mod network {
    /// Real money.
    pub const MAINNET_BETA: &str = "solana:mainnet-beta";
    /// The public development cluster.
    pub const DEVNET: &str = "solana:devnet";
    /// The public test cluster.
    pub const TESTNET: &str = "solana:testnet";
    /// A validator, or an embedded chain, of one's own.
    pub const LOCALNET: &str = "solana:localnet";
}
