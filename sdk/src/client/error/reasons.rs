//! Why something is not what it should be: parts of [`ClientError`](super::ClientError).

use amp_protocol::json::{DiscoveryError, StatementError};
use solana_address::Address;

/// Why a discovery document can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryFailure {
    /// It was not served.
    #[error("status {0}")]
    Status(u16),
    /// It does not parse.
    #[error("{0}")]
    Document(DiscoveryError),
    /// Its message lacks something.
    #[cfg(feature = "grpc")]
    #[error("{0}")]
    Message(crate::grpc::Unreadable),
}

/// Why a signed message of the service's is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFailure {
    /// It is for something else.
    #[error("{0}")]
    About(StatementError),
    /// The signature is not the recipient's.
    #[error("the signature is not the recipient's")]
    Signature,
    /// The numbers contradict those beside it.
    #[error("its numbers contradict the answer it came with")]
    Numbers,
}

/// How it shows that a channel is on another cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Elsewhere {
    /// It was opened on one of another name.
    #[error("it is on {named}, the client pays on {pinned}")]
    Network {
        /// Where it is.
        named: String,
        /// Where the client is.
        pinned: String,
    },
    /// There is no such mint here, and no chain holds tokens without their mint.
    #[error("its mint {0} is not there")]
    Mint(Address),
}
