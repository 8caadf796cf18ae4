use std::time::{Duration, Instant};

use amp_protocol::json::{CredentialBody, PricingMode, SocketEnd};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rate::Rate;

use crate::client::error::ClientError;
use crate::client::tab::{Tab, seconds_at_most, seconds_begun};
use crate::websocket::Message;

/// What was seen of a socket: it bounds what that can have cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    mode: PricingMode,
    rate: Rate,
    messages: u64,
    bytes: u64,
}

impl Seen {
    fn new(mode: PricingMode, rate: Rate) -> Self {
        Self { mode, rate, messages: 0, bytes: 0 }
    }

    fn sent(&mut self, message: &Message) {
        self.messages = self.messages.saturating_add(1);
        self.received(message);
    }

    fn received(&mut self, message: &Message) {
        self.bytes = self.bytes.saturating_add(message.size());
    }

    /// What it has used after so long, as far as this side can count.
    fn used(&self, elapsed: Duration) -> Amount {
        let count = match self.mode {
            PricingMode::PerCall => self.messages,
            PricingMode::PerByte => self.bytes,
            PricingMode::PerSecond => seconds_begun(elapsed),
            // the service says when it needs more
            PricingMode::PerCompute => 0,
        };
        self.rate.cost(count).unwrap_or(Amount::MAX)
    }

    /// The most that it can have cost after so long. Where only the service can count, that is all it was signed for.
    fn most(&self, elapsed: Duration, authorized: Amount) -> Amount {
        match self.mode {
            PricingMode::PerCall | PricingMode::PerByte => self.used(elapsed),
            PricingMode::PerSecond => {
                self.rate.cost(seconds_at_most(elapsed)).unwrap_or(Amount::MAX).min(authorized)
            }
            PricingMode::PerCompute => authorized,
        }
    }
}

/// What a socket is paid from.
pub(super) struct Account {
    tab: Tab,
    seen: Seen,
    begun: Instant,
}

impl Account {
    pub(super) fn new(tab: Tab, begun: Instant) -> Self {
        let seen = Seen::new(tab.pricing().mode, tab.rate());
        let tab = if seen.mode == PricingMode::PerCall { tab.of_calls() } else { tab };
        Self { tab, seen, begun }
    }

    /// The credential that a message goes with.
    pub(super) async fn send(&mut self, message: &Message) -> Result<CredentialBody, ClientError> {
        self.seen.sent(message);
        let used = self.used();
        match self.seen.mode {
            // each is signed for by itself: none of them is paid for before it is sent
            PricingMode::PerCall => self.tab.cover(used).await?,
            _ if self.tab.is_due(used) => {
                self.tab.extend(used).await?;
            }
            _ => {}
        }
        Ok(*self.tab.credential())
    }

    pub(super) fn received(&mut self, message: &Message) {
        self.seen.received(message);
    }

    /// Another credential, if it is time to sign for more.
    pub(super) async fn ahead(&mut self) -> Result<Option<CredentialBody>, ClientError> {
        let used = self.used();
        // by the call, nothing is used that was not signed for; by the unit, only the service knows
        let can_tell = matches!(self.seen.mode, PricingMode::PerSecond | PricingMode::PerByte);
        if !can_tell || !self.tab.is_due(used) {
            return Ok(None);
        }
        self.tab.extend(used).await.map(|credential| Some(*credential))
    }

    /// Another credential, for the service asks for one. Where each message is signed for by itself its word buys it
    /// nothing: the books it has signed must explain it.
    pub(super) async fn asked(&mut self, required: Option<Seq>) -> Result<CredentialBody, ClientError> {
        if self.seen.mode == PricingMode::PerCall {
            self.tab.asked_for().await?;
            let one_more = self.seen.messages.saturating_add(1);
            let used = self.seen.rate.cost(one_more).unwrap_or(Amount::MAX);
            self.tab.cover(used).await?;
        } else if let Some(required) = required.filter(|seq| *seq > self.tab.credential().seq) {
            self.tab.extend_to(required).await?;
            if self.tab.credential().seq < required {
                // what is left of the budget does not do: this says so
                self.tab.extend_to(required).await?;
            }
        }
        Ok(*self.tab.credential())
    }

    /// Books what the service says that it cost.
    pub(super) async fn end(self, end: &SocketEnd) -> Result<(), ClientError> {
        let most = self.seen.most(self.begun.elapsed(), self.tab.budget());
        self.tab.end(Some(end.cost), most, Some(end.spent)).await.map(drop)
    }

    /// It broke off: what it cost is for the service to say, by its signature.
    pub(super) async fn broke(self) {
        let _ = self.tab.asked_for().await;
    }

    fn used(&self) -> Amount {
        self.seen.used(self.begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_protocol::rate::Per;

    fn seen(mode: PricingMode) -> Seen {
        let rate = Rate { amount: Amount::new(3), per: Per::new(2).unwrap() };
        let mut seen = Seen::new(mode, rate);
        seen.sent(&Message::text("ab"));
        seen.received(&Message::Binary(vec![0; 5]));
        seen
    }

    #[test]
    fn what_was_seen_bounds_what_it_can_have_cost() {
        let (all, second) = (Amount::new(1_000), Duration::from_millis(1_500));
        for (mode, used, most) in [
            (PricingMode::PerCall, 2, 2),
            (PricingMode::PerByte, 11, 11),
            (PricingMode::PerSecond, 3, 6),
            (PricingMode::PerCompute, 0, 1_000),
        ] {
            assert_eq!(seen(mode).used(second).get(), used, "{mode:?}");
            assert_eq!(seen(mode).most(second, all).get(), most, "{mode:?}");
        }
        assert_eq!(seen(PricingMode::PerSecond).most(second, Amount::new(4)).get(), 4, "what was signed");
    }
}
