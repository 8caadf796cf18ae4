use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Close, Closer, close};

use crate::domain::every_state;

/// What there is to share at a close, in units that are moved one by one.
struct Purses {
    vault: u64,
    recipient: u64,
    funder: u64,
}

impl Purses {
    /// Fills the recipient's up to `total`, then gives the funder what is left.
    fn share(deposited: u64, claimed: u64, total: u64) -> Self {
        let mut purses = Self { vault: deposited - claimed, recipient: claimed, funder: 0 };
        while purses.recipient < total && purses.vault > 0 {
            purses.vault -= 1;
            purses.recipient += 1;
        }
        while purses.vault > 0 {
            purses.vault -= 1;
            purses.funder += 1;
        }
        purses
    }
}

fn by_statement(deposited: u64, claimed: u64, total: u64) -> Result<Close, Rejection> {
    let closer = Closer::FunderWithStatement(Amount::new(total));
    close(closer, Amount::new(deposited), Amount::new(claimed), 0, 0, 0)
}

#[test]
fn payout_and_refund_are_the_deposit_in_all_100_949_closes_of_up_to_57_units() {
    const N: u64 = 57;
    let states = every_state(|state| {
        let (deposited, claimed, total) = (state.up_to(N), state.up_to(N), state.up_to(N + 1));
        if claimed > deposited {
            return false;
        }
        match by_statement(deposited, claimed, total) {
            Ok(done) => {
                let purses = Purses::share(deposited, claimed, total);
                assert_eq!(done.claimed.get(), purses.recipient);
                assert_eq!(done.payout.get(), purses.recipient - claimed);
                let refund = deposited - claimed - done.payout.get();
                assert_eq!(refund, purses.funder);
                assert_eq!(claimed + done.payout.get() + refund, deposited);
                assert!(total <= deposited);
            }
            Err(rejection) => {
                assert_eq!(rejection, Rejection::StatementAboveDeposit);
                assert!(total > deposited);
            }
        }
        true
    });
    assert_eq!(states, 100_949);
}

#[test]
fn payout_and_refund_are_the_deposit_at_all_3_610_triples_of_edges() {
    let states = every_state(|state| {
        let (deposited, claimed, total) = (state.edge(), state.edge(), state.edge());
        if claimed > deposited {
            return false;
        }
        let outcome = by_statement(deposited, claimed, total);
        assert_eq!(outcome.is_ok(), total <= deposited);
        if let Ok(done) = outcome {
            let refund = deposited.checked_sub(claimed).unwrap().checked_sub(done.payout.get()).unwrap();
            assert_eq!(u128::from(refund) + u128::from(done.claimed.get()), u128::from(deposited));
            assert_eq!(done.claimed.get(), total.max(claimed));
        }
        true
    });
    assert_eq!(states, 3_610);
}

/// Without a statement nothing is paid out: the recipient gives up the rest, or has had its grace.
#[test]
fn a_close_without_a_statement_waits_for_the_grace_and_pays_nothing_in_all_16_464_cases() {
    let states = every_state(|state| {
        let (deposited, claimed) = (state.up_to(5), state.up_to(5));
        let (closing_at, grace, now) = (state.time(0, 6), state.up_to32(6), state.time(-2, 13));
        if claimed > deposited {
            return false;
        }
        let run =
            |closer| close(closer, Amount::new(deposited), Amount::new(claimed), closing_at, grace, now);
        let nothing = Close { payout: Amount::ZERO, claimed: Amount::new(claimed) };
        assert_eq!(run(Closer::Recipient), Ok(nothing));
        // counted second by second from the request on
        let waited = closing_at != 0 && (closing_at..now).count() >= grace as usize && now >= closing_at;
        let expected = if waited { Ok(nothing) } else { Err(Rejection::GraceNotOver) };
        assert_eq!(run(Closer::AfterGrace), expected, "asked {closing_at}, grace {grace}, now {now}");
        true
    });
    assert_eq!(states, 16_464);
}
