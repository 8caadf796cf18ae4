use std::fmt::Display;

use amp_protocol::code::Code;
use amp_protocol::json::{ErrorBody, Shortage};
use amp_protocol::message::Key;
use serde::{Serialize, Serializer};
use solana_address::Address;

use super::ledger::Refusal;
use crate::chain::ChainError;

/// Seconds after which a client may ask again when something the service depends on is down.
const RETRY_UNAVAILABLE: u64 = 2;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// One of the nine codes, with what to do about it.
    #[error("{}: {}", .0.error, .0.message)]
    Refused(Box<ErrorBody>),
    /// The chain or the store does not work: nothing is wrong with the request. The details are in
    /// the log, since they may name hosts and keys of the service.
    #[error("unavailable: {message}")]
    Unavailable {
        /// What does not work.
        message: &'static str,
        /// Seconds after which to ask again.
        retry_after: u64,
    },
    /// The name under which a request was sent can't be used for it.
    #[error(transparent)]
    Name(NameRefused),
}

/// The body of what has none of the nine codes: it names what it is, and says it.
#[derive(Serialize)]
struct Uncoded<'a> {
    error: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// The body that travels, the same on every transport.
impl Serialize for Denial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (error, retry_after) = (self.name(), self.retry_after());
        match self {
            Self::Refused(body) => body.serialize(serializer),
            Self::Unavailable { message, .. } => {
                Uncoded { error, message, retry_after }.serialize(serializer)
            }
            Self::Name(refused) => {
                Uncoded { error, message: &refused.to_string(), retry_after: None }.serialize(serializer)
            }
        }
    }
}

/// What is wrong with the name of a request that must not be done twice. Nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// It is no name.
    #[error("an Idempotency-Key has 1 to 255 bytes, and is sent once")]
    Malformed,
    /// A request of that name is under way.
    #[error("a request with this key is under way; ask again in a second, with the same key")]
    InProgress,
    /// The name was used for another question.
    #[error("this key was used for another request; use a new one for this")]
    OtherQuestion,
    /// Its route is metered: what is paid for while it leaves is not kept.
    #[error(
        "answers of this route are paid for while they leave, and can't be kept; send it without an Idempotency-Key"
    )]
    Metered,
    /// It was answered and charged, and the answer was too large to be kept.
    #[error("the request with this key was answered and paid for, and its answer was too large to be kept")]
    NotKept,
}

impl Denial {
    pub(crate) fn new(code: Code, channel: Option<Key>, message: impl Into<String>) -> Self {
        Self::Refused(Box::new(ErrorBody {
            channel: channel.map(Into::into),
            ..ErrorBody::new(code, message)
        }))
    }

    pub(crate) fn closed(channel: Key) -> Self {
        Self::new(Code::Closed, Some(channel), "this channel is no longer served; open a new one")
    }

    pub(crate) fn invalid_sig(channel: Key) -> Self {
        let message = "the signature is not the authorized signer's over this channel, its opening slot and this seq, nor a delegate's over its own slot; check the key, and that the channel was not reopened nor the delegation made anew";
        Self::new(Code::InvalidSig, Some(channel), message)
    }

    /// The signature verifies, and its key has no say in this.
    pub(crate) fn not_for_delegates(channel: Key) -> Self {
        let message = "this is a delegate's signature: only the channel's authorized signer may stop its service; to stop this delegate, its funder revokes it";
        Self::new(Code::InvalidSig, Some(channel), message)
    }

    pub(crate) fn no_channel(channel: Key) -> Self {
        let message = format!(
            "there is no channel {} of this program on this network; open one and use its address",
            Address::from(channel)
        );
        Self::new(Code::NoChannel, Some(channel), message)
    }

    pub(crate) fn chain(error: &ChainError) -> Self {
        tracing::warn!(%error, "the chain is not available");
        Self::unavailable("the service can't reach the chain")
    }

    pub(crate) fn store(error: &dyn Display) -> Self {
        tracing::error!(%error, "the store failed: nothing is served that is not on disk");
        Self::unavailable("the service can't store what it serves")
    }

    pub(crate) fn unavailable(message: &'static str) -> Self {
        Self::Unavailable { message, retry_after: RETRY_UNAVAILABLE }
    }

    /// A stream goes on for longer than an old view of its channel may be believed.
    pub(crate) fn no_stream_yet() -> Self {
        Self::unavailable("the service can't reach the chain, and begins no streams until it can")
    }

    /// What it is called on the wire: one of the nine codes, or what is none of them.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused(body) => body.error.as_str(),
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::Name(NameRefused::Malformed) => "IDEMPOTENCY_KEY_MALFORMED",
            Self::Name(NameRefused::InProgress) => "IDEMPOTENCY_IN_PROGRESS",
            Self::Name(NameRefused::OtherQuestion) => "IDEMPOTENCY_KEY_REUSED",
            Self::Name(NameRefused::Metered) => "IDEMPOTENCY_NOT_POSSIBLE",
            Self::Name(NameRefused::NotKept) => "IDEMPOTENCY_ANSWER_NOT_KEPT",
        }
    }

    /// Seconds after which to ask again, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused(body) => body.retry_after,
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            Self::Name(NameRefused::InProgress) => Some(1),
            Self::Name(_) => None,
        }
    }

    /// The code, if it is one of the nine.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(body) => Some(body.error),
            Self::Unavailable { .. } | Self::Name(_) => None,
        }
    }

    /// The ledger's refusal as the body that travels.
    pub(crate) fn from_refusal(refusal: &Refusal, channel: Key) -> Self {
        let body =
            |code, message| ErrorBody { channel: Some(channel.into()), ..ErrorBody::new(code, message) };
        let body = match *refusal {
            Refusal::Stopped => return Self::closed(channel),
            Refusal::Busy { in_flight } => ErrorBody {
                retry_after: Some(1),
                ..body(
                    Code::RateExceeded,
                    format!(
                        "{in_flight} requests of this channel are in flight; wait until some are answered"
                    ),
                )
            },
            Refusal::InProgress => return Self::Name(NameRefused::InProgress),
            // the key has no authority any more: to the channel its signature is a stranger's
            Refusal::Ended { at, revoked } => {
                let how = if revoked { "was revoked" } else { "expired" };
                let message = format!(
                    "this key's delegation {how} at {at} (Unix seconds); ask the channel's funder for another"
                );
                body(Code::InvalidSig, message)
            }
            Refusal::SeqUsed { last_seq } => ErrorBody {
                last_seq: Some(last_seq),
                ..body(
                    Code::InvalidSeq,
                    format!("this seq was used or is too old; sign one above {last_seq}"),
                )
            },
            Refusal::CeilingAboveDeposit { balance, highest_seq } => ErrorBody {
                shortage: Some(Shortage::Balance),
                balance: Some(balance),
                ..body(
                    Code::Underfunded,
                    format!(
                        "this seq authorizes more than the deposit; sign at most {highest_seq}, or top up"
                    ),
                )
            },
            Refusal::Balance { price, balance, required_seq } => ErrorBody {
                shortage: Some(Shortage::Balance),
                price: Some(price),
                balance: Some(balance),
                required_seq: Some(required_seq),
                ..body(
                    Code::Underfunded,
                    format!("the price is {price}, what is left of the deposit is {balance}; top up"),
                )
            },
            Refusal::DelegateLimit { price, left, required_seq } => ErrorBody {
                shortage: Some(Shortage::DelegateLimit),
                price: Some(price),
                balance: Some(left),
                required_seq: Some(required_seq),
                ..body(
                    Code::Underfunded,
                    format!(
                        "the price is {price}, what is left of this delegate's limit is {left}; ask the channel's funder to raise it"
                    ),
                )
            },
            Refusal::Ceiling { price, required_seq } => ErrorBody {
                shortage: Some(Shortage::Ceiling),
                price: Some(price),
                required_seq: Some(required_seq),
                ..body(
                    Code::Underfunded,
                    format!("the price is {price}; sign seq {required_seq} or higher to authorize it"),
                )
            },
            Refusal::Rate { price, retry_after, fits } => ErrorBody {
                price: Some(price),
                retry_after: Some(retry_after),
                ..body(Code::RateExceeded, rate_message(fits).to_owned())
            },
            Refusal::Crowded { price, owing, retry_after } => ErrorBody {
                price: Some(price),
                retry_after: Some(retry_after),
                ..body(
                    Code::RateExceeded,
                    format!(
                        "{owing} other signers of this channel owe what is not settled yet, too many for another to begin; wait until the service has settled, or pay with a key that is in use"
                    ),
                )
            },
        };
        Self::Refused(Box::new(body))
    }
}

fn rate_message(fits: bool) -> &'static str {
    if fits {
        "the channel's rate limit leaves no room for this price before the next window; wait, or open a channel with a higher rate_limit"
    } else {
        "the price is above the channel's rate_limit, so it can never be settled; open a channel with a higher one"
    }
}
