//! What travels by WebSocket besides the messages themselves: docs/transports/websocket.md.

use core::fmt;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::base58::Base58;
use super::bodies::CredentialBody;
use super::error_body::ErrorBody;
use crate::code::Code;
use crate::money::{Amount, Seq};

/// Close codes are this and the HTTP status of what went wrong: 4402 with `AMP_UNDERFUNDED`.
const CLOSE_CODES: u16 = 4_000;
/// The seq and the signature before a binary payload.
pub const BINARY_HEADER: usize = 72;
/// What every control key of the service begins with.
const CONTROL: &str = "amp_";

/// The client's first frame: who pays for what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SocketBind {
    /// The channel.
    pub amp_channel: Base58<32>,
    /// The seq.
    pub amp_seq: Seq,
    /// The signature over the credential's 52 bytes.
    pub amp_sig: Base58<64>,
}

impl From<CredentialBody> for SocketBind {
    fn from(credential: CredentialBody) -> Self {
        let CredentialBody { channel, seq, sig } = credential;
        Self { amp_channel: channel, amp_seq: seq, amp_sig: sig }
    }
}

impl From<SocketBind> for CredentialBody {
    fn from(bind: SocketBind) -> Self {
        Self { channel: bind.amp_channel, seq: bind.amp_seq, sig: bind.amp_sig }
    }
}

/// Any later text frame of the client's: a paid message, or without `payload` a higher ceiling alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SocketPaid {
    /// The seq.
    pub amp_seq: Seq,
    /// The signature over the credential's 52 bytes.
    pub amp_sig: Base58<64>,
    /// The message. A string is written; of any other JSON the text is the message, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// What any later text frame of the client's says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketFrame {
    /// A message, or a higher ceiling.
    Paid(SocketPaid),
    /// `{"amp_close": true}`: the client sends no more, and waits for the end.
    Close,
}

/// Why a client's frame can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketFrameError {
    /// Not a JSON object with the fields of a credential.
    NoCredential,
    /// This field is not what it should be.
    Field(Code),
}

impl SocketFrameError {
    /// The code of its refusal.
    pub const fn code(self) -> Code {
        match self {
            Self::NoCredential => Code::NoChannel,
            Self::Field(code) => code,
        }
    }
}

impl fmt::Display for SocketFrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCredential => {
                "payment required: a text frame is a JSON object with amp_seq and amp_sig, the first one with \
                 amp_channel too; a binary one has 72 bytes of them before its payload"
            }
            Self::Field(Code::InvalidSeq) => "amp_seq is not a seq: send 64 bits as a decimal string",
            Self::Field(Code::InvalidSig) => "amp_sig is not a signature: send its 64 bytes in base58",
            Self::Field(_) => "amp_channel is not an address: send the channel's 32 bytes in base58",
        })
    }
}

impl core::error::Error for SocketFrameError {}

/// The fields of a client's text frame, each to be refused with its own code.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, alias = "ampChannel")]
    amp_channel: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "ampSeq")]
    amp_seq: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "ampSig")]
    amp_sig: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(default, alias = "ampClose")]
    amp_close: bool,
}

fn field<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>, code: Code) -> Result<T, SocketFrameError> {
    let value = value.ok_or(SocketFrameError::NoCredential)?;
    serde_json::from_str(value.get()).map_err(|_| SocketFrameError::Field(code))
}

fn fields(text: &str) -> Result<Fields<'_>, SocketFrameError> {
    serde_json::from_str(text).map_err(|_| SocketFrameError::NoCredential)
}

impl SocketBind {
    /// Reads the client's first frame.
    pub fn parse(text: &str) -> Result<Self, SocketFrameError> {
        let fields = fields(text)?;
        Ok(Self {
            amp_channel: field(fields.amp_channel, Code::NoChannel)?,
            amp_seq: field(fields.amp_seq, Code::InvalidSeq)?,
            amp_sig: field(fields.amp_sig, Code::InvalidSig)?,
        })
    }
}

impl SocketFrame {
    /// The text of [`Self::Close`].
    pub const CLOSE: &str = "{\"amp_close\":true}";

    /// Reads any later text frame.
    pub fn parse(text: &str) -> Result<Self, SocketFrameError> {
        let fields = fields(text)?;
        if fields.amp_close {
            return Ok(Self::Close);
        }
        let amp_seq = field(fields.amp_seq, Code::InvalidSeq)?;
        let amp_sig = field(fields.amp_sig, Code::InvalidSig)?;
        let payload = fields.payload.map(|payload| {
            let raw = payload.get();
            serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned())
        });
        Ok(Self::Paid(SocketPaid { amp_seq, amp_sig, payload }))
    }
}

/// A binary frame of the client's: `[seq u64 LE][sig 64][payload]`, always a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketBinary<'a> {
    /// The seq.
    pub seq: Seq,
    /// The signature over the credential's 52 bytes.
    pub sig: [u8; 64],
    /// The message.
    pub payload: &'a [u8],
}

impl<'a> SocketBinary<'a> {
    /// Reads one; none where it is shorter than its credential.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let (seq, rest) = frame.split_first_chunk()?;
        let (sig, payload) = rest.split_first_chunk()?;
        Some(Self { seq: Seq::new(u64::from_le_bytes(*seq)), sig: *sig, payload })
    }

    /// The bytes of the frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.seq.get().to_le_bytes()[..], &self.sig, self.payload].concat()
    }
}

/// Why the service ends a socket: the error body, or what is none of the nine codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SocketError {
    /// One of the nine.
    Amp(Box<ErrorBody>),
    /// Any other.
    Other(SocketTrouble),
}

/// What is none of the nine codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketTrouble {
    /// Its name; another is taken for [`SocketFault::Internal`].
    pub error: String,
    /// What is wrong and what to do about it, for a person.
    pub message: String,
    /// Seconds after which it may work.
    #[serde(default, alias = "retryAfter", skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// The kinds of [`SocketTrouble`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketFault {
    /// The service can't reach its chain or its store: nothing was accepted.
    Unavailable,
    /// No first frame came in time.
    Timeout,
    /// A frame above the service's limit.
    TooLarge,
    /// A frame that is no WebSocket frame, or no UTF-8.
    Unreadable,
    /// The service's handler failed.
    Internal,
}

impl SocketFault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unavailable, Self::Timeout, Self::TooLarge, Self::Unreadable, Self::Internal];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
            Self::TooLarge => "TOO_LARGE",
            Self::Unreadable => "UNREADABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status that it would have.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Unavailable => 503,
            Self::Timeout => 408,
            Self::TooLarge => 413,
            Self::Unreadable => 400,
            Self::Internal => 500,
        }
    }
}

impl SocketError {
    /// An error that is none of the nine codes.
    pub fn fault(fault: SocketFault, message: impl Into<String>) -> Self {
        let (error, message) = (fault.as_str().to_owned(), message.into());
        Self::Other(SocketTrouble { error, message, retry_after: None })
    }

    /// The HTTP status that it would have.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Amp(body) => body.error.http_status(),
            Self::Other(trouble) => {
                let known = SocketFault::ALL.into_iter().find(|fault| fault.as_str() == trouble.error);
                known.unwrap_or(SocketFault::Internal).http_status()
            }
        }
    }

    /// The code of the close frame after it.
    pub fn close_code(&self) -> u16 {
        CLOSE_CODES.saturating_add(self.http_status())
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amp(body) => write!(f, "{}: {}", body.error, body.message),
            Self::Other(trouble) => write!(f, "{}: {}", trouble.error, trouble.message),
        }
    }
}

/// Where the signer's money stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketAck {
    /// `"open"`.
    pub amp_status: String,
    /// Deposited - spent, all signers; for a delegate at most what its limit leaves.
    pub amp_balance: Amount,
    /// Charged to this signer so far.
    pub amp_spent: Amount,
}

/// How a socket that was open has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketEnd {
    /// What it cost in all.
    pub cost: Amount,
    /// Charged to this signer so far.
    pub spent: Amount,
    /// Deposited - spent, all signers; for a delegate at most what its limit leaves.
    pub balance: Amount,
    /// Why, where it did not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SocketError>,
}

/// A text frame of the service's that is none of the application's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SocketControl {
    /// The socket is open.
    Ack(SocketAck),
    /// It was refused: a close frame follows.
    Refused {
        /// Why.
        amp_error: SocketError,
    },
    /// It waits until more is signed for.
    Need {
        /// What it would be refused with if it did not wait.
        amp_need: Box<ErrorBody>,
    },
    /// It has ended: a close frame follows.
    End {
        /// What it cost.
        amp_end: SocketEnd,
    },
    /// A text of the application's that looks like one of these.
    Payload {
        /// The text.
        amp_payload: String,
    },
}

/// A control frame of a later version: a client skips it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownControl;

impl SocketControl {
    /// Reads a text frame of the service's; none where it is the application's.
    pub fn parse(text: &str) -> Result<Option<Self>, UnknownControl> {
        let is_control = may_be_control(text) && serde_json::from_str::<Keys>(text).is_ok_and(|keys| keys.0);
        if !is_control {
            return Ok(None);
        }
        serde_json::from_str(text).map(Some).map_err(|_| UnknownControl)
    }

    /// The frame's text.
    pub fn to_text(&self) -> String {
        // strings and numbers alone: nothing of it can fail
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A text of the application's as it is sent. One that a client could take for a control frame, a JSON object
    /// any of whose keys begins with `amp_`, is wrapped: so a client can believe what it is told of money,
    /// whatever others have the application send. What can't be parsed here may be by another parser.
    pub fn application(text: String) -> String {
        if may_be_control(&text) && !serde_json::from_str::<Keys>(&text).is_ok_and(|keys| !keys.0) {
            return Self::Payload { amp_payload: text }.to_text();
        }
        text
    }
}

/// What need not be parsed to know that it is none: most texts. An escape could spell a key.
fn may_be_control(text: &str) -> bool {
    text.trim_start().starts_with('{') && (text.contains(CONTROL) || text.contains("\\u"))
}

/// Whether any key of an object begins with `amp_`.
struct Keys(bool);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut found = false;
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            found |= key.starts_with(CONTROL);
        }
        Ok(Keys(found))
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
