//! What a service says of the payment within a stream of server-sent events.

use amp_protocol::json::ErrorBody;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::event;
use serde::Deserialize;

/// Longest line that is looked at: AMP's own are shorter.
const LONGEST: usize = 16 * 1024;

/// How a stream ended, as the service says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Ended {
    pub(super) cost: Amount,
    pub(super) spent: Amount,
    pub(super) balance: Amount,
    /// Why it ended early.
    #[serde(default)]
    pub(super) refusal: Option<Box<ErrorBody>>,
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The stream waits.
    Need(Option<Seq>),
    End(Ended),
}

/// Listens for AMP's own events among all others, which it leaves alone.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    is_too_long: bool,
    name: Vec<u8>,
}

#[derive(Deserialize)]
struct Need {
    #[serde(default)]
    required_seq: Option<Seq>,
}

impl Events {
    pub(super) fn hear(&mut self, data: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        for byte in data {
            match byte {
                b'\n' | b'\r' => heard.extend(self.line_ended()),
                _ if self.line.len() < LONGEST => self.line.push(*byte),
                _ => self.is_too_long = true,
            }
        }
        heard
    }

    fn line_ended(&mut self) -> Option<Heard> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_too_long) {
            return None;
        }
        if let Some(name) = field(&line, b"event:") {
            self.name = name.to_vec();
            return None;
        }
        // AMP's events have one line of data
        let data = field(&line, b"data:")?;
        let name = std::mem::take(&mut self.name);
        if name == event::NEED.as_bytes() {
            let need: Need = serde_json::from_slice(data).ok()?;
            return Some(Heard::Need(need.required_seq));
        }
        (name == event::END.as_bytes()).then(|| serde_json::from_slice(data).ok().map(Heard::End)).flatten()
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    Some(line.strip_prefix(name)?.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amps_events_are_heard_in_whichever_pieces_they_come() {
        let text = "data: {\"cost\":\"9\"}\n\nevent: amp-need\ndata: {\"required_seq\":\"7\"}\n\nevent: token\r\ndata: x\r\n\r\nevent: amp-end\ndata: {\"cost\":\"1\",\"spent\":\"2\",\"balance\":\"3\"}\n\n";
        let [cost, spent, balance] = [1, 2, 3].map(Amount::new);
        let expected =
            [Heard::Need(Some(Seq::new(7))), Heard::End(Ended { cost, spent, balance, refusal: None })];
        for size in [1, 7, 1_000] {
            let mut events = Events::default();
            let heard: Vec<Heard> =
                text.as_bytes().chunks(size).flat_map(|piece| events.hear(piece)).collect();
            assert_eq!(heard, expected);
        }
    }

    #[test]
    fn what_is_too_long_is_left_alone_and_held_by_nobody() {
        let mut events = Events::default();
        assert_eq!(events.hear(&vec![b'x'; 1 << 20]), []);
        assert!(events.line.len() <= LONGEST);
        let need = events.hear(b"\nevent: amp-need\ndata: {}\n\n");
        assert_eq!(need, [Heard::Need(None)]);
    }
}
