//! The funder's side of delegations: other keys that may spend from a channel of this client's, each up to
//! a limit and until a time. The deposit is the exposure, whoever spends it: a limit adds nothing to it,
//! so it takes no part of the budget.

mod close;
mod read;
mod set;
mod spending;

use std::time::{Duration, SystemTime};

use amp_protocol::account::DelegationAccount;
use amp_protocol::money::Amount;
use solana_address::Address;

pub(super) use spending::Delegates;

/// A delegation, as it is on chain: what its delegate needs to know, and the funder wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelegationRecord {
    /// The channel.
    pub channel: Address,
    /// Who may spend from it.
    pub delegate: Address,
    /// The slot in which it was created: the epoch of the delegate's credentials.
    pub created_slot: u64,
    /// Most base units that may ever be claimed on them.
    pub limit: Amount,
    /// Base units that were claimed on them.
    pub claimed: Amount,
    /// Unix seconds from which on nothing new may be spent. `None`: never.
    pub expires_at: Option<i64>,
    /// Unix seconds of the revocation. `None`: not revoked.
    pub revoked_at: Option<i64>,
}

impl From<&DelegationAccount> for DelegationRecord {
    fn from(account: &DelegationAccount) -> Self {
        let terms = &account.delegation;
        let set = |time: i64| (time != 0).then_some(time);
        Self {
            channel: Address::from(account.channel),
            delegate: Address::from(account.delegate),
            created_slot: account.created_slot,
            limit: terms.limit,
            claimed: terms.signer.claimed,
            expires_at: set(terms.expires_at),
            revoked_at: set(terms.revoked_at),
        }
    }
}

/// When a delegation ends by itself: by the cluster's clock, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(i64);

impl Expiry {
    /// It doesn't.
    pub const NEVER: Self = Self(0);

    /// This long from now, by this machine's clock.
    pub fn after(duration: Duration) -> Self {
        SystemTime::now().checked_add(duration).map_or(Self(i64::MAX), Self::from)
    }

    /// As the program has it: 0 means never.
    pub const fn unix_seconds(self) -> i64 {
        self.0
    }
}

/// Unix seconds; 0: never.
impl From<i64> for Expiry {
    fn from(unix_seconds: i64) -> Self {
        Self(unix_seconds)
    }
}

/// Unix seconds; `None`: never.
impl From<Option<i64>> for Expiry {
    fn from(unix_seconds: Option<i64>) -> Self {
        Self(unix_seconds.unwrap_or_default())
    }
}

impl From<SystemTime> for Expiry {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // a time of 0 is in the past, and must not become "never"
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_in_the_past_becomes_never() {
        for past in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - Duration::from_secs(9)] {
            assert_eq!(Expiry::from(past).unix_seconds(), 1);
        }
        assert_eq!(Expiry::from(SystemTime::UNIX_EPOCH + Duration::from_secs(7)), Expiry::from(7));
        assert_eq!(Expiry::from(None), Expiry::NEVER);
        assert_eq!(Expiry::after(Duration::MAX).unix_seconds(), i64::MAX);
    }
}
