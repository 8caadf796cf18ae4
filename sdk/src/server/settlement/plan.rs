use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::{SignerBooks, settleable_from};

use crate::server::config::ServiceConfig;
use crate::server::ledger::Authority;

/// How soon a settlement is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// `every` seconds after the last one, where it brings at least `least`.
    Routine { every: u32, least: Amount },
    /// As soon as the program allows.
    Demanded,
}

impl Urgency {
    /// As often as it is configured, where nobody asks for it.
    pub(crate) fn routine(config: &ServiceConfig) -> Self {
        Self::Routine { every: config.routine_interval(), least: config.min_settlement }
    }

    /// The one that waits for less.
    pub(crate) fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Routine { every, .. }, Self::Routine { every: others, .. }) if others < every => other,
            (Self::Routine { .. }, Self::Demanded) => other,
            _ => self,
        }
    }
}

/// What to do about one signer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It owes nothing that could be claimed, or that is worth it.
    Nothing,
    /// Claim up to `owed` (cumulative).
    Settle { owed: Amount },
    /// Look again at `until` (Unix seconds): `code` says what stands against it before.
    Wait { until: i64, code: Code },
}

/// Decides for the signer with this authority, whose committed credential has `seq`, and who owes
/// `owed` in all. What would pass the window's rate is left for a later window.
///
/// Where the channel is closing, or the delegation has ended, nothing more comes together and the grace
/// runs: whatever there is, is claimed at once.
pub(crate) fn decide(
    account: &ChannelAccount,
    authority: &Authority,
    seq: Seq,
    owed: Amount,
    urgency: Urgency,
    now: i64,
) -> Decision {
    let signer = authority.books();
    // admission holds the limit; if it were passed, what is below it could still be claimed
    let owed = authority.limit().map_or(owed, |limit| limit.min(owed));
    let is_over = authority.delegation().is_some_and(|found| found.is_over(account.terms.close_grace, now));
    if owed <= signer.claimed || is_over {
        return Decision::Nothing;
    }
    let interval = account.terms.settle_interval;
    let last_chance = account.books.closing || authority.has_ended(now);
    let (from, least) = match urgency {
        _ if last_chance => (now, Amount::ZERO),
        Urgency::Demanded => (settleable_from(signer, interval), Amount::ZERO),
        Urgency::Routine { every, least } => (settleable_from(signer, interval.max(every)), least),
    };
    if unclaimed(signer, owed) < least {
        return Decision::Nothing;
    }
    if now < from {
        // at its end a delegate is settled at once
        let until = authority.ends_at().map_or(from, |end| end.min(from));
        return Decision::Wait { until, code: Code::SettleEarly };
    }
    let Ok(window) = account.books.window.at(now, interval) else {
        // a clock out of range will come back; "nothing" might close the channel unpaid
        return Decision::Wait { until: now.saturating_add(60), code: Code::RateExceeded };
    };
    let Ok(balance) = account.books.balance() else { return Decision::Nothing };
    let claimable = window.allowance(account.terms.rate_limit()).min(balance);
    let Some(most) = signer.claimed.checked_add(claimable) else { return Decision::Nothing };
    let owed = owed.min(most);
    if (owed == signer.claimed || unclaimed(signer, owed) < least) && !balance.is_zero() {
        return Decision::Wait { until: window.ends_at(interval), code: Code::RateExceeded };
    }
    match authority.settle(account, seq, owed, now) {
        Ok(_) => Decision::Settle { owed },
        Err(_) => Decision::Nothing,
    }
}

fn unclaimed(signer: &SignerBooks, owed: Amount) -> Amount {
    owed.checked_sub(signer.claimed).unwrap_or(Amount::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::channel_account;
    use amp_protocol::rules::{Delegation, RateWindow};
    use proptest::prelude::*;

    /// Opened at 0, settled at 100 (40 claimed, all in its window), interval 60, rate 50, deposit 500.
    fn account() -> ChannelAccount {
        let mut account = channel_account();
        account.terms.settle_interval = 60;
        account.terms.rate_limit = 50;
        account.books.deposited = Amount::new(500);
        account.books.claimed = Amount::new(40);
        account.books.window = RateWindow { started_at: 60, claimed: Amount::new(40) };
        account.signer = SignerBooks { claimed: Amount::new(40), last_settled_at: 100 };
        account
    }

    fn decision(account: &ChannelAccount, owed: u64, urgency: Urgency, now: i64) -> Decision {
        decide(account, &Authority::channel(account), Seq::new(owed), Amount::new(owed), urgency, now)
    }

    fn every_so_often(every: u32) -> Urgency {
        Urgency::Routine { every, least: Amount::ZERO }
    }

    #[test]
    fn a_routine_settlement_waits_until_it_is_worth_its_fee() {
        let worth = Urgency::Routine { every: 60, least: Amount::new(20) };
        let at = |owed, now| decision(&account(), owed, worth, now);
        assert_eq!(at(59, 160), Decision::Nothing);
        assert_eq!(at(60, 159), Decision::Wait { until: 160, code: Code::SettleEarly });
        assert_eq!(at(60, 160), Decision::Settle { owed: Amount::new(60) });
        assert_eq!(
            decision(&account(), 59, Urgency::Demanded, 160),
            Decision::Settle { owed: Amount::new(59) }
        );
        let mut closing = account();
        closing.books.closing = true;
        assert_eq!(decision(&closing, 41, worth, 101), Decision::Settle { owed: Amount::new(41) });
    }

    #[test]
    fn a_window_that_is_nearly_full_is_not_worth_a_fee_either() {
        let worth = Urgency::Routine { every: 60, least: Amount::new(20) };
        let mut account = account();
        account.books.window = RateWindow { started_at: 120, claimed: Amount::new(40) };
        let at = |now| decision(&account, 80, worth, now);
        assert_eq!(at(160), Decision::Wait { until: 180, code: Code::RateExceeded });
        assert_eq!(at(180), Decision::Settle { owed: Amount::new(80) });
    }

    #[test]
    fn a_demanded_settlement_waits_for_the_interval_of_the_program() {
        let at = |now| decision(&account(), 50, Urgency::Demanded, now);
        assert_eq!(at(159), Decision::Wait { until: 160, code: Code::SettleEarly });
        assert_eq!(at(160), Decision::Settle { owed: Amount::new(50) });
    }

    #[test]
    fn a_routine_settlement_waits_for_its_own_interval_and_never_less() {
        let at = |every, now| decision(&account(), 50, every_so_often(every), now);
        assert_eq!(at(3_600, 160), Decision::Wait { until: 3_700, code: Code::SettleEarly });
        assert_eq!(at(1, 159), Decision::Wait { until: 160, code: Code::SettleEarly });
    }

    #[test]
    fn of_two_wishes_the_one_that_waits_for_less_counts() {
        let [hour, minute] = [3_600, 60].map(every_so_often);
        assert_eq!((hour.sooner(minute), minute.sooner(hour)), (minute, minute));
        for other in [hour, Urgency::Demanded] {
            let both = (Urgency::Demanded.sooner(other), other.sooner(Urgency::Demanded));
            assert_eq!(both, (Urgency::Demanded, Urgency::Demanded));
        }
    }

    #[test]
    fn nothing_owed_is_nothing_to_do() {
        assert_eq!(decision(&account(), 40, Urgency::Demanded, 1_000), Decision::Nothing);
        assert_eq!(decision(&account(), 39, Urgency::Demanded, 1_000), Decision::Nothing);
    }

    #[test]
    fn what_passes_the_rate_is_left_for_the_next_window() {
        assert_eq!(
            decision(&account(), 120, Urgency::Demanded, 160),
            Decision::Settle { owed: Amount::new(90) }
        );
        let mut closing = account();
        closing.books.closing = true;
        let at = |now| decision(&closing, 120, every_so_often(3_600), now);
        assert_eq!(at(101), Decision::Settle { owed: Amount::new(50) });
        closing.books.window.claimed = Amount::new(50);
        let at = |now| decision(&closing, 120, every_so_often(3_600), now);
        assert_eq!(at(101), Decision::Wait { until: 120, code: Code::RateExceeded });
        assert_eq!(at(120), Decision::Settle { owed: Amount::new(90) });
    }

    #[test]
    fn a_delegate_at_its_end_waits_neither_for_the_interval_nor_for_more() {
        let signer = SignerBooks { claimed: Amount::ZERO, last_settled_at: 100 };
        let live = Delegation { limit: Amount::new(30), signer, expires_at: 130, revoked_at: 0 };
        let worth = Urgency::Routine { every: 3_600, least: Amount::new(20) };
        let mut account = account();
        account.terms.close_grace = 50;
        account.books.window.started_at = 120;
        account.books.window.claimed = Amount::ZERO;
        let at = |delegation, owed: u64, now| {
            decide(
                &account,
                &Authority::Delegation(delegation),
                Seq::new(owed),
                Amount::new(owed),
                worth,
                now,
            )
        };
        assert_eq!(at(live, 5, 129), Decision::Nothing, "not worth its fee yet");
        assert_eq!(at(live, 25, 120), Decision::Wait { until: 130, code: Code::SettleEarly });
        assert_eq!(at(live, 5, 130), Decision::Settle { owed: Amount::new(5) });
        assert_eq!(at(live, 5, 180), Decision::Settle { owed: Amount::new(5) });
        assert_eq!(at(live, 5, 181), Decision::Nothing, "the grace is over");
        let revoked = Delegation { revoked_at: 121, ..live };
        assert_eq!(at(revoked, 5, 121), Decision::Settle { owed: Amount::new(5) });
        assert_eq!(at(live, 40, 130), Decision::Settle { owed: Amount::new(30) }, "the limit");
    }

    proptest! {
        #[test]
        fn what_is_decided_is_what_the_program_accepts(
            owed: u64, seq: u64, now in 0..400i64, closing: bool, window in 0..=50u64, deposited in 40..600u64,
        ) {
            let mut account = account();
            account.books.closing = closing;
            account.books.window.claimed = Amount::new(window);
            account.books.deposited = Amount::new(deposited);
            let (seq, owed) = (Seq::new(seq), Amount::new(owed));
            let authority = Authority::channel(&account);
            let run = |owed| authority.settle(&account, seq, owed, now);
            match decide(&account, &authority, seq, owed, Urgency::Demanded, now) {
                Decision::Settle { owed: claimed } => prop_assert!(claimed <= owed && run(claimed).is_ok()),
                Decision::Wait { until, .. } => prop_assert!(until > now && run(owed).is_err()),
                Decision::Nothing => prop_assert!(run(owed).is_err()),
            }
        }

        #[test]
        fn of_a_delegate_too(
            owed in 0..200u64, seq in 0..200u64, now in 0..400i64, closing: bool, window in 0..=50u64,
            limit in 1..200u64, claimed in 0..=40u64, expires_at in 0..400i64, revoked_at in 0..400i64,
        ) {
            let mut account = account();
            account.terms.close_grace = 30;
            account.books.closing = closing;
            account.books.window.claimed = Amount::new(window);
            let signer = SignerBooks { claimed: Amount::new(claimed), last_settled_at: 100 };
            let delegation = Delegation { limit: Amount::new(limit), signer, expires_at, revoked_at };
            let authority = Authority::Delegation(delegation);
            let (seq, owed) = (Seq::new(seq), Amount::new(owed));
            let run = |owed| authority.settle(&account, seq, owed, now);
            match decide(&account, &authority, seq, owed, Urgency::Demanded, now) {
                Decision::Settle { owed: claimed } => prop_assert!(claimed <= owed && run(claimed).is_ok()),
                Decision::Wait { until, .. } => prop_assert!(until > now && run(owed).is_err()),
                Decision::Nothing => prop_assert!(run(owed).is_err()),
            }
        }
    }
}
