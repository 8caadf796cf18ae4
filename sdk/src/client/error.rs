mod code;
mod reasons;

use amp_protocol::code::Code;
use amp_protocol::json::{Base58, ErrorBody};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use solana_address::Address;

use super::delegated::Undelegated;
use super::ledger::{LedgerError, Overcharge};
use super::policy::PolicyError;
use crate::chain::ChainError;
use crate::durable::DurableError;
use crate::signer::SignerError;
pub use reasons::{DiscoveryFailure, Elsewhere, ProofFailure};

/// Why a call, an opening or a close did not work. Match on the variant, never on the text.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client was not given something it needs.
    #[error("the client needs {0}")]
    Incomplete(&'static str),
    /// No AMP program is recorded for the network, and none was given: there is nothing to compare what
    /// services name with.
    #[error(
        "no AMP program is recorded for {network:?}; give the id of the deployment you trust: `program_id`, or `amp --program-id`"
    )]
    NothingPinned {
        /// The network that the client is for.
        network: String,
    },
    /// Not the URL of a service.
    #[error("{0:?} is no http, https or mcp URL with a host")]
    Url(String),
    /// A service that is reached by a session alone, and there is none.
    #[error("there is no session with {origin}; connect with `Client::mcp` first")]
    NotConnected {
        /// The service.
        origin: String,
    },
    /// An MCP request failed, or the tool itself did. If it carried a credential and does not say what was
    /// charged, its price counts as spent until the service says otherwise.
    #[cfg(feature = "mcp")]
    #[error("the MCP request failed: {0}")]
    Mcp(#[source] Box<rmcp::ServiceError>),
    /// A gRPC call failed on the way, or the service did. If it carried a credential and does not say what was
    /// charged, its price counts as spent until the service says otherwise.
    #[cfg(feature = "grpc")]
    #[error("the gRPC call failed: {0}")]
    Grpc(#[source] Box<tonic::Status>),
    /// The request failed on the way. If it carried a credential, its price counts as spent until the
    /// service says otherwise.
    #[error("the request failed: {0}")]
    Http(#[from] reqwest::Error),
    /// No answer in time. What holds for [`ClientError::Http`] holds here.
    #[error("no answer from {url} within {seconds} s; the call may have been served and charged")]
    TimedOut {
        /// What was called.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A WebSocket did not open, or broke off.
    #[error("the socket to {url}: {reason}")]
    Socket {
        /// Where to.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The answer is larger than anything the protocol sends.
    #[error("the answer of {url} is larger than {limit} bytes")]
    TooLarge {
        /// What was called.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The service asks to be paid, and the request can't be sent a second time.
    #[error(
        "{origin} wants to be paid and the body was a stream; call `prepare` for it first, or send bytes"
    )]
    BodyNotRepeatable {
        /// The service.
        origin: String,
    },
    /// The discovery document can't be read or used.
    #[error("{origin} has no usable discovery document: {reason}")]
    Discovery {
        /// The service.
        origin: String,
        /// What is wrong with it.
        reason: DiscoveryFailure,
    },
    /// The service settles with another program than the one that is pinned.
    #[error(
        "{origin} names program {named}, this client trusts {pinned}; never pay it unless you know that program"
    )]
    WrongProgram {
        /// The service.
        origin: String,
        /// What it names.
        named: Base58<32>,
        /// What is pinned.
        pinned: Address,
    },
    /// The service settles on another cluster.
    #[error(
        "{origin} settles on {named:?}, this client pays on {pinned:?}; set `network` and `chain` to match"
    )]
    WrongNetwork {
        /// The service.
        origin: String,
        /// What it names.
        named: String,
        /// What is pinned.
        pinned: String,
    },
    /// The service names another recipient than before, or two at once.
    #[error(
        "{origin} is paid at {known} and now names {named}; ask its operator, or close the channel to pay the new one"
    )]
    RecipientChanged {
        /// The service.
        origin: String,
        /// Who is paid.
        known: Address,
        /// Who is named.
        named: Address,
    },
    /// The service takes another token than the open channel holds.
    #[error(
        "{origin} is paid in token {known} and now takes {named}; close the channel to pay in the new token"
    )]
    TokenChanged {
        /// The service.
        origin: String,
        /// The channel's mint.
        known: Address,
        /// The mint that is named now.
        named: Address,
    },
    /// The agent's own limits.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The funder has too few tokens.
    #[error("token account {token_account} holds {held} base units of mint {mint}, {needed} are needed; send it {missing} more", missing = .needed.get().saturating_sub(.held.get()))]
    InsufficientFunds {
        /// The funder's associated token account.
        token_account: Address,
        /// The mint.
        mint: Address,
        /// What it holds.
        held: Amount,
        /// What it should hold.
        needed: Amount,
    },
    /// The deposit is used up and automatic top-ups are off.
    #[error("channel {channel} has {deposited} base units deposited, {needed} are needed; call `top_up`")]
    NeedsTopUp {
        /// The channel.
        channel: Address,
        /// What is deposited.
        deposited: Amount,
        /// What should be.
        needed: Amount,
    },
    /// The channel on chain is not what was asked for; nothing was paid on it.
    #[error(
        "channel {channel} on chain differs from what was asked for in its {field}; don't use this RPC node, or close the channel"
    )]
    ChannelDiffers {
        /// The channel.
        channel: Address,
        /// The field.
        field: &'static str,
    },
    /// The node shows neither the channel nor the program: it is no node of this client's cluster.
    #[error(
        "there is no AMP program {program_id} on this cluster, so its channels are not taken for closed; check the RPC address"
    )]
    NoProgram {
        /// The program that is pinned.
        program_id: Address,
    },
    /// The channel is on another cluster than this client's: nothing that is seen here says anything of it.
    #[error("channel {channel} is not on this client's cluster: {reason}; use a client of its own cluster")]
    OtherCluster {
        /// The channel.
        channel: Address,
        /// How that shows.
        reason: Elsewhere,
    },
    /// An opening was sent, and the chain does not show it yet.
    #[error("the opening of channel {channel} is not confirmed yet; try again in a minute")]
    OpeningPending {
        /// The channel.
        channel: Address,
    },
    /// The service charged what nobody agreed to. It gets no more credentials.
    #[error(
        "{origin} overcharged: {overcharge}; nothing more is paid to it, its funder gets the rest of the deposit by `close`"
    )]
    Overcharged {
        /// The service.
        origin: String,
        /// How.
        overcharge: Overcharge,
    },
    /// The service overcharged before, and its channel is not closed yet.
    #[error(
        "{origin} overcharged before on channel {channel}; its funder gets the rest of the deposit by `close`"
    )]
    Disputed {
        /// The service.
        origin: String,
        /// The channel.
        channel: Address,
    },
    /// The service wants a credential that no call explains.
    #[error("{origin}: {reason}; don't pay it more than that, `status` shows what it says it charged")]
    Unjustified {
        /// The service.
        origin: String,
        /// What it asked for.
        reason: LedgerError,
    },
    /// The service has seen a seq that this store never signed.
    #[error(
        "{origin} has accepted seq {theirs}, this store signed up to {ours}; another store uses the same key, or this one is an old copy: close the channel"
    )]
    UnknownSeq {
        /// The service.
        origin: String,
        /// What it says it accepted.
        theirs: Seq,
        /// The highest this store signed.
        ours: Seq,
    },
    /// A metering proof or close statement is not what it should be.
    #[error("{origin} sent a {what} that is no proof: {reason}")]
    BadProof {
        /// The service.
        origin: String,
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        reason: ProofFailure,
    },
    /// The service says that the channel is closed, and the chain says that it is open.
    #[error(
        "{origin} serves channel {channel} no more, though it is open; call `close` to get the deposit back, then pay again"
    )]
    ClosedByService {
        /// The service.
        origin: String,
        /// The channel.
        channel: Address,
    },
    /// There is no open channel to this service, or none any more, and calls open none by themselves.
    #[error("there is no open channel to {origin}, and `auto_open` is off; call `prepare` to open one")]
    NotOpened {
        /// The service.
        origin: String,
    },
    /// There is no channel to this service.
    #[error("there is no channel to {origin}; call it, or `prepare` it, first")]
    NoChannel {
        /// The service.
        origin: String,
    },
    /// A delegate's client was asked for what only a funder can do.
    #[error("a delegate's client can't {to}: ask the channel's funder, or make a client with `funder`")]
    NotFunder {
        /// What was asked for.
        to: &'static str,
    },
    /// A funder's client was asked for what only a delegate does.
    #[error(
        "this client is a funder's and opens channels of its own; make one with `delegate` to use another's"
    )]
    NotDelegate,
    /// The channel is not one that was chained below this client's.
    #[error("{channel} was not chained below a channel of this client's funder; `close` ends one's own")]
    NotChained {
        /// The channel.
        channel: Address,
    },
    /// The channel is another's: only its funder can ask for its close.
    #[error("channel {channel} is funded by {funder}; only that key can ask for its close")]
    NotTheFunder {
        /// The channel.
        channel: Address,
        /// Its funder.
        funder: Address,
    },
    /// A delegate's client does not know which channel pays this service.
    #[error("no channel is named for {origin}; ask its funder for the address and call `use_channel`")]
    NoChannelNamed {
        /// The service.
        origin: String,
    },
    /// The channel that was named is not for this service.
    #[error(
        "channel {channel} does not pay this service: its {field} is {found}, the service names {named}; ask the funder for the right one"
    )]
    WrongChannel {
        /// The channel.
        channel: Address,
        /// In what they differ.
        field: &'static str,
        /// The channel's.
        found: Address,
        /// The service's.
        named: Address,
    },
    /// The delegate can't spend from the channel.
    #[error("{delegate} can't spend from channel {channel}: {reason}")]
    NotDelegated {
        /// The channel.
        channel: Address,
        /// The delegate.
        delegate: Address,
        /// Why, and what to do.
        reason: Undelegated,
    },
    /// The delegate's limit is used up.
    #[error(
        "delegate {delegate} of channel {channel} has a limit of {limit} base units, {needed} are needed; its funder can raise it with `delegate`"
    )]
    LimitReached {
        /// The channel.
        channel: Address,
        /// The delegate.
        delegate: Address,
        /// Its limit.
        limit: Amount,
        /// What it should be.
        needed: Amount,
    },
    /// What is left of the deposit is too little for a delegate's call, and only the funder tops it up.
    #[error(
        "channel {channel} has {deposited} base units deposited, which is too little; ask its funder {funder} to `top_up`"
    )]
    FunderMustTopUp {
        /// The channel.
        channel: Address,
        /// Its funder.
        funder: Address,
        /// What is deposited.
        deposited: Amount,
        /// [`Code::Underfunded`], or [`Code::DepositLow`] where the service serves no deposit so small.
        code: Code,
    },
    /// The program would refuse this change of a delegation. Nothing was sent.
    #[error("the delegation of channel {channel} to {delegate} can't be changed so: {reason}")]
    DelegationRefused {
        /// The channel.
        channel: Address,
        /// The delegate.
        delegate: Address,
        /// The rule.
        reason: Rejection,
    },
    /// The delegation's grace is over.
    #[error(
        "the delegation of channel {channel} to {delegate} is over, and anyone may close it: extending it could make \
         a new one, with all of the limit unspent. Call `close_delegation`, then delegate what is left"
    )]
    DelegationOver {
        /// The channel.
        channel: Address,
        /// The delegate.
        delegate: Address,
    },
    /// There is no such delegation.
    #[error("channel {channel} is not delegated to {delegate}; the delegation was never made, or is closed")]
    NoDelegation {
        /// The channel.
        channel: Address,
        /// The delegate.
        delegate: Address,
    },
    /// A change of a delegation was sent, and the chain does not show it yet.
    #[error(
        "the chain does not show the delegation of channel {channel} to {delegate} yet; try again in a minute"
    )]
    DelegationPending {
        /// The channel.
        channel: Address,
        /// The delegate.
        delegate: Address,
    },
    /// A delegation can't be closed yet: something of it may still be settled.
    #[error("the delegation of channel {channel} to {delegate} can be closed {}", closable(.closable_from))]
    DelegationNotOver {
        /// The channel.
        channel: Address,
        /// The delegate.
        delegate: Address,
        /// Unix seconds. `None`: it neither expires nor is revoked.
        closable_from: Option<i64>,
    },
    /// The service refused, with an AMP error. Nothing was charged.
    #[error("the service refused with {status} {}: {}", .body.error, .body.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error body; `retry_after` holds the header's seconds where the body has none.
        body: Box<ErrorBody>,
    },
    /// The body of an answer is not what it should be.
    #[error("{url} answered with status {status} and a body that can't be read as what it should be")]
    Protocol {
        /// What was called.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A signer.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] DurableError),
}

fn closable(from: &Option<i64>) -> String {
    from.map_or_else(
        || "once it is revoked and the channel's close grace has passed, or the channel is closed".to_owned(),
        |from| format!("from unix time {from} on, or once the channel is closed"),
    )
}

#[cfg(feature = "grpc")]
impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        Self::Grpc(Box::new(status))
    }
}
