use super::rate::RateWindow;
use super::terms::Terms;
use crate::money::{Amount, Seq};
use crate::rejection::Rejection;

/// What a channel has booked, over all its signers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    /// Put in by the opening and by top-ups.
    pub deposited: Amount,
    /// Paid out by settlements.
    pub claimed: Amount,
    /// The rate window of the last settlement.
    pub window: RateWindow,
    /// Whether the funder has asked to close.
    pub closing: bool,
}

impl Books {
    /// Deposited and not yet claimed.
    pub fn balance(&self) -> Result<Amount, Rejection> {
        self.deposited.checked_sub(self.claimed).ok_or(Rejection::InvariantBroken)
    }
}

/// What one signer has paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignerBooks {
    /// Paid out on this signer's credentials.
    pub claimed: Amount,
    /// Unix seconds of the last settlement; before the first, of the opening or the delegating.
    pub last_settled_at: i64,
}

/// The books after a settlement, and what it pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// To be moved from the vault.
    pub payout: Amount,
    /// The channel's claimed total.
    pub claimed: Amount,
    /// The signer's claimed total.
    pub signer_claimed: Amount,
    /// The rate window.
    pub window: RateWindow,
}

/// The first second at which this signer may be settled. While the channel is closing that is any.
pub fn settleable_from(signer: &SignerBooks, settle_interval: u32) -> i64 {
    signer.last_settled_at.saturating_add(i64::from(settle_interval))
}

/// Whether a settlement has to wait until the signer's interval has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    ForInterval,
    Not,
}

/// Books a claim of `owed` (cumulative, of the authorized signer) under the credential with `seq`.
///
/// Holds `signer_claimed < owed <= seq * unit_price`, the interval, `claimed <= deposited`, and the rate,
/// in this order.
pub fn settle(
    terms: &Terms,
    books: &Books,
    signer: &SignerBooks,
    seq: Seq,
    owed: Amount,
    now: i64,
) -> Result<Settlement, Rejection> {
    book(terms, books, signer, seq, owed, now, Waiting::ForInterval)
}

/// What the settlements of every kind of signer hold.
pub(super) fn book(
    terms: &Terms,
    books: &Books,
    signer: &SignerBooks,
    seq: Seq,
    owed: Amount,
    now: i64,
    waiting: Waiting,
) -> Result<Settlement, Rejection> {
    if owed <= signer.claimed {
        return Err(Rejection::OwedNotAboveClaimed);
    }
    if !terms.unit_price()?.ceiling(seq).covers(owed) {
        return Err(Rejection::OwedAboveCeiling);
    }
    let waits = waiting == Waiting::ForInterval && !books.closing;
    if waits && now < settleable_from(signer, terms.settle_interval) {
        return Err(Rejection::SettleEarly);
    }
    let payout = owed.checked_sub(signer.claimed).ok_or(Rejection::OwedNotAboveClaimed)?;
    if payout > books.balance()? {
        return Err(Rejection::ClaimedAboveDeposit);
    }
    let window = books.window.at(now, terms.settle_interval)?.claim(payout, terms.rate_limit())?;
    let claimed = books.claimed.checked_add(payout).ok_or(Rejection::ClaimedAboveDeposit)?;
    Ok(Settlement { payout, claimed, signer_claimed: owed, window })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: Terms =
        Terms { unit_price: 10, rate_limit: 100, settle_interval: 60, close_grace: 0, max_chain_depth: 0 };

    fn books(deposited: u64, claimed: u64) -> Books {
        let window = RateWindow { started_at: 0, claimed: Amount::ZERO };
        Books { deposited: Amount::new(deposited), claimed: Amount::new(claimed), window, closing: false }
    }

    fn signer(claimed: u64) -> SignerBooks {
        SignerBooks { claimed: Amount::new(claimed), last_settled_at: 0 }
    }

    fn outcome(books: Books, signer: SignerBooks, seq: u64, owed: u64, now: i64) -> Result<u64, Rejection> {
        settle(&TERMS, &books, &signer, Seq::new(seq), Amount::new(owed), now).map(|done| done.payout.get())
    }

    #[test]
    fn each_bound_of_a_settlement_is_kept_and_its_edge_allowed() {
        assert_eq!(outcome(books(500, 0), signer(0), 5, 50, 60), Ok(50));
        assert_eq!(outcome(books(500, 0), signer(0), 5, 51, 60), Err(Rejection::OwedAboveCeiling));
        assert_eq!(outcome(books(500, 50), signer(50), 5, 50, 60), Err(Rejection::OwedNotAboveClaimed));
        assert_eq!(outcome(books(500, 0), signer(0), 5, 50, 59), Err(Rejection::SettleEarly));
        assert_eq!(outcome(books(50, 0), signer(0), 6, 51, 60), Err(Rejection::ClaimedAboveDeposit));
        assert_eq!(outcome(books(500, 0), signer(0), 11, 100, 60), Ok(100));
        assert_eq!(outcome(books(500, 0), signer(0), 11, 101, 60), Err(Rejection::RateExceeded));
    }

    #[test]
    fn books_that_do_not_add_up_pay_nothing() {
        assert_eq!(outcome(books(50, 50), signer(0), 1, 10, 60), Err(Rejection::ClaimedAboveDeposit));
        assert_eq!(outcome(books(50, 51), signer(0), 1, 10, 60), Err(Rejection::InvariantBroken));
    }

    #[test]
    fn a_closing_channel_settles_without_waiting_but_within_the_rate() {
        let closing = Books { closing: true, ..books(500, 0) };
        assert_eq!(outcome(closing, signer(0), 5, 50, 1), Ok(50));
        assert_eq!(outcome(closing, signer(0), 11, 101, 1), Err(Rejection::RateExceeded));
    }

    proptest! {
        #[test]
        fn no_settlement_pays_more_than_was_signed_deposited_or_allowed(
            signer_claimed in 0..500_u64, by_others in 0..300_u64, room in 0..300_u64, seq in 0..100_u64,
            above in 0..300_u64, now in 0..200_i64, closing: bool,
        ) {
            let claimed = signer_claimed + by_others;
            let deposited = claimed + room;
            let books = Books { closing, ..books(deposited, claimed) };
            let owed = signer_claimed + above;
            let outcome = settle(&TERMS, &books, &signer(signer_claimed), Seq::new(seq), Amount::new(owed), now);
            // written apart from the rule, in the words of the protocol page
            let payable = above > 0
                && owed <= seq * 10
                && (closing || now >= 60)
                && claimed + above <= deposited
                && above <= 100;
            prop_assert_eq!(outcome.is_ok(), payable, "{:?}", outcome);
            if let Ok(done) = outcome {
                prop_assert_eq!(done.payout.get(), above);
                prop_assert_eq!(done.claimed.get(), claimed + above);
                prop_assert_eq!(done.signer_claimed.get(), owed);
                prop_assert_eq!(done.window.claimed.get(), above);
            }
        }

        #[test]
        fn no_numbers_make_a_settlement_panic(
            deposited: u64, claimed: u64, signer_claimed: u64, seq: u64, owed: u64, now: i64, started_at: i64,
        ) {
            let window = RateWindow { started_at, claimed: Amount::new(claimed) };
            let books = Books { window, ..books(deposited, claimed) };
            let _ = settle(&TERMS, &books, &signer(signer_claimed), Seq::new(seq), Amount::new(owed), now);
        }
    }
}
