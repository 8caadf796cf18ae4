//! What the service says of the payment in a stream of server-sent events: events of their own, which clients
//! that don't know them ignore.

use amp_protocol::json::ErrorBody;
use amp_protocol::money::Amount;
use amp_protocol::text::event;
use axum::body::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::server::admission::Receipt;
use crate::server::denial::Denial;
use crate::server::metering::Need;

/// Where a stream of events stands: nothing may be put in the middle of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Boundary {
    /// Line ends since the last other character; events end with two.
    ends: u8,
    /// The last character was a carriage return, so a line feed belongs to it.
    after_return: bool,
    began: bool,
}

impl Boundary {
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.ends = self.ends.saturating_add(1);
                    self.after_return = *byte == b'\r';
                }
                _ => (self.ends, self.after_return, self.began) = (0, false, true),
            }
        }
    }

    /// Whether an event may begin here.
    pub(super) fn is_between(self) -> bool {
        !self.began || self.ends >= 2
    }
}

/// `amp-end`: the stream is over.
#[derive(Serialize)]
struct Ended<'a> {
    cost: Amount,
    spent: Amount,
    balance: Amount,
    /// Why it ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a ErrorBody>,
}

/// The stream waits.
pub(super) fn need(need: &Need) -> Bytes {
    match &need.refusal {
        Some(refusal) => write(event::NEED, refusal),
        None => write(event::NEED, &json!({})),
    }
}

pub(super) fn end(receipt: &Receipt, reason: Option<&Denial>) -> Bytes {
    let Receipt { cost, spent, balance, .. } = *receipt;
    let refusal = reason.and_then(|denial| match denial {
        Denial::Refused(body) => Some(&**body),
        Denial::Unavailable { .. } | Denial::Name(_) => None,
    });
    write(event::END, &Ended { cost, spent, balance, refusal })
}

fn write(name: &str, value: &impl Serialize) -> Bytes {
    // JSON has no line ends of its own
    let data = serde_json::to_string(value).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_protocol::money::Seq;

    #[test]
    fn an_event_may_begin_where_another_has_ended_and_nowhere_else() {
        let after = |pieces: &[&str]| {
            let mut boundary = Boundary::default();
            pieces.iter().for_each(|piece| boundary.follow(piece.as_bytes()));
            boundary.is_between()
        };
        for whole in [&["data: x\n\n"][..], &["data: x\n", "\n"], &["data: x\r\n\r", "\n"], &["x\r\r"], &[]] {
            assert!(after(whole), "{whole:?}");
        }
        for part in [&["data: x\n"][..], &["data"], &["data: x\r\n"], &["data: x\n\nid"], &["x\r", "\n"]] {
            assert!(!after(part), "{part:?}");
        }
    }

    #[test]
    fn a_need_says_what_would_do() {
        let required_seq = Some(Seq::new(7));
        let refusal =
            ErrorBody { required_seq, ..ErrorBody::new(amp_protocol::code::Code::Underfunded, "more") };
        let text = need(&Need { refusal: Some(refusal) });
        let expected = "event: amp-need\ndata: {\"error\":\"AMP_UNDERFUNDED\",\"message\":\"more\",\"required_seq\":\"7\"}\n\n";
        assert_eq!(text, expected);
    }
}
