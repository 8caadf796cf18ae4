//! The JSON shapes of the protocol: snake_case out, camelCase accepted too; amounts, seqs, slots and counts
//! as decimal strings (a JavaScript number holds 53 bits), times as numbers.

mod base58;
mod bodies;
mod decimal;
mod discovery;
mod error_body;
mod pricing;
mod socket;

pub use base58::{Base58, Base58Error};
pub use bodies::{
    ChannelStatus, CloseResponse, CredentialBody, DelegateCredential, ReceiptBody, SignedCloseStatement,
    SignedMeteringProof, StatementError,
};
pub use discovery::{DiscoveryDocument, DiscoveryError};
pub use error_body::{ErrorBody, Shortage};
pub use pricing::{
    Pricing, PricingMode, PricingTable, RouteRate, longest_prefix, longest_prefix_in_any_case,
};
pub use socket::{
    BINARY_HEADER, SocketAck, SocketBinary, SocketBind, SocketControl, SocketEnd, SocketError, SocketFault,
    SocketFrame, SocketFrameError, SocketPaid, SocketTrouble, UnknownControl,
};
