use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Books, RateWindow, Settlement, SignerBooks, Terms, settle};

use crate::domain::every_state;

/// A claim on small books, and its settlement by paying one unit after the other.
struct Claim {
    terms: Terms,
    books: Books,
    signer: SignerBooks,
    seq: u64,
    owed: u64,
    now: i64,
}

impl Claim {
    fn waits(&self) -> bool {
        let seconds = (self.signer.last_settled_at..self.now).count();
        !self.books.closing
            && (self.now < self.signer.last_settled_at || seconds < self.terms.settle_interval as usize)
    }

    /// The window of `now`, found by walking; claims of an older one do not count.
    fn window(&self) -> (i64, u64) {
        let (mut started_at, mut claimed) = (self.books.window.started_at, self.books.window.claimed.get());
        while started_at + i64::from(self.terms.settle_interval) <= self.now {
            started_at += i64::from(self.terms.settle_interval);
            claimed = 0;
        }
        (started_at, claimed)
    }

    /// Pays unit after unit until all that is owed is paid, or names what stands in the way of the next one.
    fn pay(&self) -> Result<Settlement, Vec<Rejection>> {
        let (started_at, mut in_window) = self.window();
        let (mut claimed, mut signer_claimed) = (self.books.claimed.get(), self.signer.claimed.get());
        let mut wrong = Vec::new();
        if signer_claimed >= self.owed {
            wrong.push(Rejection::OwedNotAboveClaimed);
        }
        if self.waits() {
            wrong.push(Rejection::SettleEarly);
        }
        let signed: u64 = (0..self.seq).map(|_| self.terms.unit_price).sum();
        while signer_claimed < self.owed {
            let stops = [
                (signer_claimed >= signed, Rejection::OwedAboveCeiling),
                (claimed >= self.books.deposited.get(), Rejection::ClaimedAboveDeposit),
                (in_window >= self.terms.rate_limit, Rejection::RateExceeded),
            ];
            wrong.extend(stops.into_iter().filter_map(|(stops, rejection)| stops.then_some(rejection)));
            (claimed, signer_claimed, in_window) = (claimed + 1, signer_claimed + 1, in_window + 1);
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Settlement {
            payout: Amount::new(signer_claimed - self.signer.claimed.get()),
            claimed: Amount::new(claimed),
            signer_claimed: Amount::new(signer_claimed),
            window: RateWindow { started_at, claimed: Amount::new(in_window) },
        })
    }
}

/// Books of at most four units, of which the signer and others have claimed some, at all times around the
/// interval: what is settled is what unit by unit could be paid, and nothing else is.
#[test]
fn a_settlement_is_what_can_be_paid_unit_by_unit_in_all_1_088_640_small_claims() {
    let states = every_state(|state| {
        let (deposited, claimed, signer_claimed) = (state.up_to(4), state.up_to(4), state.up_to(4));
        let (window_claimed, rate_limit) = (state.up_to(2), 1 + state.below(3));
        let (unit_price, seq, owed) = (1 + state.below(2), state.up_to(3), state.up_to(5));
        let (last_settled_at, now) = (state.time(0, 1), state.time(-1, 4));
        let (settle_interval, closing) = (1 + state.up_to32(2), state.flag());
        if claimed > deposited || signer_claimed > claimed {
            return false;
        }
        let terms = Terms { unit_price, rate_limit, settle_interval, close_grace: 0, max_chain_depth: 0 };
        let window = RateWindow { started_at: 0, claimed: Amount::new(window_claimed) };
        let books =
            Books { deposited: Amount::new(deposited), claimed: Amount::new(claimed), window, closing };
        let signer = SignerBooks { claimed: Amount::new(signer_claimed), last_settled_at };
        let claim = Claim { terms, books, signer, seq, owed, now };
        match (settle(&terms, &books, &signer, Seq::new(seq), Amount::new(owed), now), claim.pay()) {
            (Ok(done), Ok(paid)) => assert_eq!(done, paid),
            (Err(rejection), Err(wrong)) => assert!(wrong.contains(&rejection), "{rejection:?}: {wrong:?}"),
            (outcome, paid) => panic!("{outcome:?}, but {paid:?}"),
        }
        true
    });
    assert_eq!(states, 1_088_640);
}

/// Two settlements in a row, of the same signer: together they pay what one could have.
#[test]
fn no_two_settlements_pay_more_than_the_higher_of_them_in_all_57_024_pairs() {
    let terms =
        Terms { unit_price: 2, rate_limit: 9, settle_interval: 2, close_grace: 0, max_chain_depth: 0 };
    let states = every_state(|state| {
        let deposited = Amount::new(state.up_to(10));
        let claims = [0; 2].map(|_| (Seq::new(state.up_to(5)), Amount::new(state.up_to(11))));
        let window = RateWindow { started_at: 0, claimed: Amount::ZERO };
        let mut books = Books { deposited, claimed: Amount::ZERO, window, closing: false };
        let mut signer = SignerBooks { claimed: Amount::ZERO, last_settled_at: 0 };
        let mut paid = 0;
        for (now, (seq, owed)) in [2, 4].into_iter().zip(claims) {
            let Ok(done) = settle(&terms, &books, &signer, seq, owed, now) else { continue };
            books = Books { claimed: done.claimed, window: done.window, ..books };
            signer = SignerBooks { claimed: done.signer_claimed, last_settled_at: now };
            paid += done.payout.get();
            assert_eq!(paid, owed.get(), "cumulative: an older settlement is part of it");
        }
        let signed = claims.iter().map(|(seq, _)| seq.get() * 2).max().unwrap();
        assert!(paid <= signed && paid <= deposited.get());
        true
    });
    assert_eq!(states, 57_024);
}
