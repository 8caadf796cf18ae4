use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{Books, Delegation, RateWindow, SignerBooks, Terms};

use crate::domain::{State, every_state};

const TERMS: Terms =
    Terms { unit_price: 1, rate_limit: 100, settle_interval: 1, close_grace: 2, max_chain_depth: 0 };

/// One delegation, and what an onlooker has noted of it.
struct Life {
    now: i64,
    delegation: Option<Delegation>,
    books: Books,
    paid: u64,
    highest_limit: u64,
    revoked_at: Option<i64>,
}

impl Life {
    fn begin() -> Self {
        let window = RateWindow { started_at: 10, claimed: Amount::ZERO };
        let books = Books { deposited: Amount::new(100), claimed: Amount::ZERO, window, closing: false };
        Self { now: 10, delegation: None, books, paid: 0, highest_limit: 0, revoked_at: None }
    }

    fn act(&mut self, state: &mut State) {
        match state.below(11) {
            wait @ 0..=2 => self.now += 1 + i64::try_from(wait).unwrap(),
            3 => self.set(1, 0),
            4 => self.set(3, 0),
            5 => self.set(1, self.now + 2),
            6 => self.set(3, self.now + 2),
            7 => {
                let revoked = self.delegation.and_then(|delegation| delegation.revoke(self.now).ok());
                if revoked.is_some() {
                    assert_eq!(self.revoked_at, None, "revoked twice: the grace would begin anew");
                    (self.delegation, self.revoked_at) = (revoked, Some(self.now));
                }
            }
            owed => self.settle(owed - 7),
        }
    }

    fn set(&mut self, limit: u64, expires_at: i64) {
        let set = match self.delegation {
            Some(delegation) => delegation.change(Amount::new(limit), expires_at, self.now),
            None => Delegation::begin(Amount::new(limit), expires_at, self.now),
        };
        let Ok(set) = set else { return };
        assert!(limit >= self.highest_limit && self.revoked_at.is_none());
        assert_eq!(set.signer.claimed.get(), self.paid, "what was claimed stays");
        (self.delegation, self.highest_limit) = (Some(set), limit);
    }

    fn settle(&mut self, owed: u64) {
        let Some(delegation) = self.delegation else { return };
        let Ok(done) = delegation.settle(&TERMS, &self.books, Seq::new(owed), Amount::new(owed), self.now)
        else {
            return;
        };
        let signer = SignerBooks { claimed: done.signer_claimed, last_settled_at: self.now };
        self.delegation = Some(Delegation { signer, ..delegation });
        self.books = Books { claimed: done.claimed, window: done.window, ..self.books };
        self.paid += done.payout.get();
        assert_eq!(self.paid, owed, "cumulative");
        assert!(self.paid <= self.highest_limit);
        assert!(self.revoked_at.is_none_or(|then| self.now <= then + 2), "after the grace of a revocation");
        let expiry = delegation.expires_at;
        assert!(expiry == 0 || self.now <= expiry + 2, "after the grace of the expiry");
    }
}

#[test]
fn no_history_of_six_acts_pays_past_limit_or_grace_in_all_1_771_561() {
    let mut ever_paid = 0;
    let states = every_state(|state| {
        let mut life = Life::begin();
        for _ in 0..6 {
            life.act(state);
        }
        ever_paid += u64::from(life.paid > 0);
        true
    });
    assert_eq!(states, 1_771_561);
    assert!(ever_paid > 100_000, "only {ever_paid} histories paid anything");
}
