//! What delegates have spent, or may have: what a close statement and a refund can't be held to.

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::money::Amount;

use crate::client::store::ChannelRecord;
use crate::client::{Client, ClientError};

impl Client {
    /// The most that the delegates of a channel that this store knows of can have spent from it.
    pub(in crate::client) async fn spendable_by_delegates(
        &self,
        record: &ChannelRecord,
        account: &ChannelAccount,
    ) -> Result<Amount, ClientError> {
        // the channel was read before its delegations: a settlement in between is then counted once
        let delegations = self.known_delegations(record).await?;
        let now = self.chain().clock().await?.unix_timestamp;
        Ok(at_most(account, &delegations, now))
    }

    /// The same, with the delegates that another store of this funder may have named.
    pub(in crate::client) async fn spendable_by_all_delegates(
        &self,
        record: &ChannelRecord,
        account: &ChannelAccount,
    ) -> Result<Amount, ClientError> {
        let delegations = self.search_delegations(record).await?;
        let now = self.chain().clock().await?.unix_timestamp;
        Ok(at_most(account, &delegations, now))
    }

    /// The most that was claimed on delegates' credentials of a channel that is gone.
    pub(in crate::client) async fn claimed_by_delegates(
        &self,
        record: &ChannelRecord,
    ) -> Result<Amount, ClientError> {
        let mut sum = Amount::ZERO;
        for delegate in self.inner.store.delegates(record.id).await? {
            let account = self.delegation(&record.channel, &delegate.key).await?;
            let present = account
                .filter(|account| account.channel_opened_slot == record.opened_slot)
                .map_or(delegate.limit, |account| account.delegation.signer.claimed);
            sum = add(add(sum, present), delegate.before);
        }
        Ok(sum)
    }
}

/// The limits of those delegations of which something can still be settled, the claims of the others.
fn at_most(account: &ChannelAccount, delegations: &[DelegationAccount], now: i64) -> Amount {
    let (mut possible, mut claimed) = (Amount::ZERO, Amount::ZERO);
    for DelegationAccount { delegation, .. } in delegations {
        let over = delegation.is_over(account.terms.close_grace, now);
        possible = add(possible, if over { delegation.signer.claimed } else { delegation.limit });
        claimed = add(claimed, delegation.signer.claimed);
    }
    // what is claimed and is neither the authorized signer's nor in these was that of delegations which
    // were closed since, or which another store made
    let others = account.books.claimed.checked_sub(account.signer.claimed).unwrap_or(Amount::ZERO);
    add(possible, others.checked_sub(claimed).unwrap_or(Amount::ZERO))
}

fn add(one: Amount, other: Amount) -> Amount {
    one.checked_add(other).unwrap_or(Amount::MAX)
}
