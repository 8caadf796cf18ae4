use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Closer, close};

use super::wide;
use crate::Verdict;
use crate::input::Input;

/// A close on anybody's word: what goes to the recipient and what is left for the funder is the deposit, and
/// neither is below zero.
pub fn rules_close(bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    let kind = input.byte() % 3;
    let (deposited, claimed, total) = (input.amount(), input.amount(), input.amount());
    let (closing_at, close_grace, now) = (input.time(), input.number32(), input.time());
    let closer = match kind {
        0 => Closer::Recipient,
        1 => Closer::FunderWithStatement(total),
        _ => Closer::AfterGrace,
    };
    let outcome = close(closer, deposited, claimed, closing_at, close_grace, now);
    // past all time, it is never over; `request_close` refuses a grace like that
    let grace_ends = i128::from(closing_at) + i128::from(close_grace);
    match outcome {
        Ok(done) => {
            assert_eq!(wide(done.payout) + wide(claimed), wide(done.claimed));
            match closer {
                Closer::Recipient => assert_eq!(done.payout, Amount::ZERO),
                Closer::FunderWithStatement(total) => {
                    assert!(total <= deposited);
                    assert_eq!(done.claimed, total.max(claimed));
                }
                Closer::AfterGrace => {
                    assert!(closing_at != 0 && i128::from(now) >= grace_ends);
                    assert_eq!(done.payout, Amount::ZERO);
                }
            }
            // of every channel that the program wrote
            if claimed <= deposited {
                let refund = wide(deposited) - wide(done.claimed);
                assert!(refund >= 0 && refund + wide(done.payout) + wide(claimed) == wide(deposited));
            }
        }
        Err(Rejection::StatementAboveDeposit) => assert!(kind == 1 && total > deposited),
        Err(Rejection::GraceNotOver) => {
            assert!(kind == 2 && (closing_at == 0 || i128::from(now) < grace_ends));
        }
        Err(other) => panic!("{other:?}"),
    }
    Verdict::of(&outcome)
}
