use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;

use super::claim::Claim;

/// What the last look at a channel found, for whoever watches the service. Nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Whether the funder asked for the close.
    pub(crate) closing: bool,
    /// When (Unix seconds, the chain's) the first grace is over that runs.
    pub(crate) grace_ends: Option<i64>,
    /// Owed by delegates whose grace runs.
    of_delegates: Amount,
}

impl Noted {
    /// `None` where no grace runs, and nobody asked for the close.
    pub(super) fn of(
        account: &ChannelAccount,
        claims: &[Claim],
        grace_ends: Option<i64>,
        now: i64,
    ) -> Option<Self> {
        let ended = claims.iter().filter(|claim| claim.authority.has_ended(now));
        let mut owed =
            ended.filter_map(|claim| claim.record.spent.checked_sub(claim.authority.books().claimed));
        let of_delegates = owed.try_fold(Amount::ZERO, Amount::checked_add).unwrap_or(Amount::MAX);
        let closing = account.books.closing;
        let is_quiet = !closing && grace_ends.is_none() && of_delegates.is_zero();
        (!is_quiet).then_some(Self { closing, grace_ends, of_delegates })
    }

    /// What of `unsettled` can only be collected until a grace is over.
    pub(crate) fn at_risk(&self, unsettled: Amount) -> Amount {
        if self.closing { unsettled } else { self.of_delegates.min(unsettled) }
    }
}
