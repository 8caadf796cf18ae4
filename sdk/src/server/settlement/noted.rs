use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;

use super::claim::Claim;
use crate::server::ledger::SignerId;

/// What the last look at a channel found, for whoever watches the service. Nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The authorized signer, and what the chain had paid on its credentials.
    pub(crate) authorized: SignerId,
    pub(crate) claimed: Amount,
    /// Whether the funder asked for the close.
    pub(crate) closing: bool,
    /// When (Unix seconds, the chain's) the first grace is over that runs.
    pub(crate) grace_ends: Option<i64>,
    /// Owed by delegates whose grace runs.
    of_delegates: Amount,
}

impl Noted {
    pub(super) fn of(account: &ChannelAccount, claims: &[Claim], grace_ends: Option<i64>, now: i64) -> Self {
        let ended = claims.iter().filter(|claim| claim.authority.has_ended(now));
        let mut owed =
            ended.filter_map(|claim| claim.record.spent.checked_sub(claim.authority.books().claimed));
        let of_delegates = owed.try_fold(Amount::ZERO, Amount::checked_add).unwrap_or(Amount::MAX);
        let (authorized, claimed) = (SignerId::authorized(account), account.signer.claimed);
        Self { authorized, claimed, closing: account.books.closing, grace_ends, of_delegates }
    }

    /// What of `unsettled` can only be collected until a grace is over.
    pub(crate) fn at_risk(&self, unsettled: Amount) -> Amount {
        if self.closing { unsettled } else { self.of_delegates.min(unsettled) }
    }
}
