use crate::money::Amount;
use crate::rejection::Rejection;

/// On whose word a channel closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closer {
    /// The recipient signed: it gives up what it has not settled.
    Recipient,
    /// The funder signed and carries the recipient's close statement over this total.
    FunderWithStatement(Amount),
    /// Anyone, once `closing_at + close_grace` has passed.
    AfterGrace,
}

/// What a close pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// To the recipient.
    pub payout: Amount,
    /// The claimed total after it. The vault's whole remaining balance goes to the funder.
    pub claimed: Amount,
}

/// From when on anyone may close a channel whose funder asked for it at `closing_at`; `None`: at no time
/// that there is.
pub fn closable_from(closing_at: i64, close_grace: u32) -> Option<i64> {
    closing_at.checked_add(i64::from(close_grace))
}

/// Decides a close. `closing_at` is 0 where the funder has not asked for one.
pub fn close(
    closer: Closer,
    deposited: Amount,
    claimed: Amount,
    closing_at: i64,
    close_grace: u32,
    now: i64,
) -> Result<Close, Rejection> {
    let nothing_more = Close { payout: Amount::ZERO, claimed };
    match closer {
        Closer::Recipient => Ok(nothing_more),
        Closer::FunderWithStatement(owed_total) => {
            if owed_total > deposited {
                return Err(Rejection::StatementAboveDeposit);
            }
            // a statement older than the last settlement takes nothing back
            Ok(owed_total
                .checked_sub(claimed)
                .map_or(nothing_more, |payout| Close { payout, claimed: owed_total }))
        }
        Closer::AfterGrace => {
            let over = closable_from(closing_at, close_grace).is_some_and(|from| from <= now);
            if closing_at == 0 || !over { Err(Rejection::GraceNotOver) } else { Ok(nothing_more) }
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(closer: Closer, closing_at: i64, now: i64) -> Result<(u64, u64), Rejection> {
        close(closer, Amount::new(100), Amount::new(40), closing_at, 10, now)
            .map(|done| (done.payout.get(), done.claimed.get()))
    }

    #[test]
    fn a_statement_pays_what_is_still_owed_and_no_more() {
        let statement = |total| Closer::FunderWithStatement(Amount::new(total));
        assert_eq!(outcome(statement(100), 0, 0), Ok((60, 100)));
        assert_eq!(outcome(statement(40), 0, 0), Ok((0, 40)));
        assert_eq!(outcome(statement(39), 0, 0), Ok((0, 40)));
        assert_eq!(outcome(statement(101), 0, 0), Err(Rejection::StatementAboveDeposit));
    }

    #[test]
    fn a_stranger_waits_for_the_request_and_its_grace() {
        assert_eq!(outcome(Closer::AfterGrace, 0, i64::MAX), Err(Rejection::GraceNotOver));
        assert_eq!(outcome(Closer::AfterGrace, 5, 14), Err(Rejection::GraceNotOver));
        assert_eq!(outcome(Closer::AfterGrace, 5, 15), Ok((0, 40)));
        assert_eq!(outcome(Closer::Recipient, 0, 0), Ok((0, 40)));
    }

    proptest! {
        #[test]
        fn claimed_never_shrinks_and_never_passes_the_deposit(deposited: u64, claimed: u64, total: u64) {
            prop_assume!(claimed <= deposited);
            let closer = Closer::FunderWithStatement(Amount::new(total));
            let Ok(done) = close(closer, Amount::new(deposited), Amount::new(claimed), 0, 0, 0)
            else { return Ok(()) };
            prop_assert!(done.claimed.get() >= claimed && done.claimed.get() <= deposited);
            prop_assert_eq!(done.claimed.get() - claimed, done.payout.get());
        }
    }
}
