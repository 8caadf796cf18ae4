use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Books, Settlement, SignerBooks, Terms, settle, settleable_from};

use super::{at_most_the_last_second, wide};
use crate::Verdict;
use crate::input::Input;

/// A claim of the authorized signer.
pub fn rules_settlement(bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    let (terms, books, signer) = (input.terms(), input.books(), input.signer());
    let (seq, owed, now) = (Seq::new(input.number()), input.amount(), input.time());
    let claim = Claim { terms, books, signer, seq, owed, now };
    let outcome = settle(&terms, &books, &signer, seq, owed, now);
    claim.check(&outcome, true);
    Verdict::of(&outcome)
}

/// A claim, and the bounds of it.
pub(super) struct Claim {
    pub(super) terms: Terms,
    pub(super) books: Books,
    pub(super) signer: SignerBooks,
    pub(super) seq: Seq,
    pub(super) owed: Amount,
    pub(super) now: i64,
}

impl Claim {
    /// Allowed exactly where no bound is broken, and then booked to the unit.
    pub(super) fn check(&self, outcome: &Result<Settlement, Rejection>, waits: bool) {
        let broken = self.broken(waits);
        match outcome {
            Ok(done) => {
                assert!(broken.is_empty(), "allowed in spite of {broken:?}");
                self.check_booked(done);
            }
            Err(rejection) => assert!(broken.contains(rejection), "{rejection:?} is not among {broken:?}"),
        }
    }

    fn payout(&self) -> i128 {
        wide(self.owed) - wide(self.signer.claimed)
    }

    /// Where the window of `now` begins and what was claimed in it, or nothing where time has no window.
    fn window(&self) -> Option<(i128, i128)> {
        let (started_at, now) = (i128::from(self.books.window.started_at), i128::from(self.now));
        let (elapsed, interval) = (now - started_at, i128::from(self.terms.settle_interval));
        if i64::try_from(elapsed).is_err() {
            return None;
        }
        if elapsed < interval {
            return Some((started_at, wide(self.books.window.claimed)));
        }
        (interval > 0).then(|| (started_at + elapsed / interval * interval, 0))
    }

    /// Every bound that the claim breaks.
    fn broken(&self, waits: bool) -> Vec<Rejection> {
        let (terms, books, payout) = (&self.terms, &self.books, self.payout());
        let ceiling = u128::from(self.seq.get()) * u128::from(terms.unit_price);
        let settleable = i128::from(self.signer.last_settled_at) + i128::from(terms.settle_interval);
        let settleable = at_most_the_last_second(settleable);
        assert_eq!(i128::from(settleable_from(&self.signer, terms.settle_interval)), settleable);
        let balance = wide(books.deposited) - wide(books.claimed);
        let room = self.window().map(|(_, claimed)| wide(terms.rate_limit()) - claimed);
        [
            (payout <= 0, Rejection::OwedNotAboveClaimed),
            (terms.unit_price == 0, Rejection::ZeroUnitPrice),
            (u128::from(self.owed.get()) > ceiling, Rejection::OwedAboveCeiling),
            (waits && !books.closing && i128::from(self.now) < settleable, Rejection::SettleEarly),
            (balance < 0, Rejection::InvariantBroken),
            (payout > balance, Rejection::ClaimedAboveDeposit),
            (room.is_none(), Rejection::ClockOutOfRange),
            (room.is_some_and(|room| payout > room), Rejection::RateExceeded),
        ]
        .into_iter()
        .filter_map(|(broken, rejection)| broken.then_some(rejection))
        .collect()
    }

    fn check_booked(&self, done: &Settlement) {
        let (payout, (started_at, in_window)) = (self.payout(), self.window().unwrap());
        assert_eq!(wide(done.payout), payout);
        assert_eq!(wide(done.claimed), wide(self.books.claimed) + payout);
        assert_eq!(done.signer_claimed, self.owed);
        assert_eq!(i128::from(done.window.started_at), started_at);
        assert_eq!(wide(done.window.claimed), in_window + payout);
        // what holds of every channel, whatever the books were before
        assert!(done.claimed <= self.books.deposited && done.window.claimed <= self.terms.rate_limit());
    }
}
