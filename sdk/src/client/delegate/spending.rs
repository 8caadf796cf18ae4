//! What delegates have spent, or may have: what a close statement and a refund can't be held to.

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::json::{CredentialBody, DelegateCredential};
use amp_protocol::money::{Amount, UnitPrice};

use crate::client::store::ChannelRecord;
use crate::client::{Client, ClientError};
use crate::signed::verify_credential;

/// The delegates of a channel, as they are on chain.
pub(in crate::client) struct Delegates {
    delegations: Vec<DelegationAccount>,
    now: i64,
}

impl Delegates {
    /// The most that these can have spent, as far as it is `shown`: what they signed, up to their limits, and
    /// what was claimed of them. Of a delegation whose grace is over nothing more can be claimed.
    pub(in crate::client) fn spent_at_most(
        &self,
        record: &ChannelRecord,
        account: &ChannelAccount,
        shown: &[DelegateCredential],
    ) -> Amount {
        let (mut possible, mut claimed) = (Amount::ZERO, Amount::ZERO);
        for found in &self.delegations {
            let delegation = &found.delegation;
            let over = delegation.is_over(account.terms.close_grace, self.now);
            let signed = if over { Amount::ZERO } else { signed(record, account, found, shown) };
            possible = add(possible, delegation.signer.claimed.max(signed.min(delegation.limit)));
            claimed = add(claimed, delegation.signer.claimed);
        }
        // what is claimed and is neither the authorized signer's nor in these was that of delegations which
        // were closed since, or which another store made
        let others = account.books.claimed.checked_sub(account.signer.claimed).unwrap_or(Amount::ZERO);
        add(possible, others.checked_sub(claimed).unwrap_or(Amount::ZERO))
    }
}

/// What a delegate has signed for: the highest ceiling of its credentials among those shown.
fn signed(
    record: &ChannelRecord,
    account: &ChannelAccount,
    found: &DelegationAccount,
    shown: &[DelegateCredential],
) -> Amount {
    let Some(unit_price) = UnitPrice::new(account.terms.unit_price) else { return Amount::ZERO };
    let its = shown.iter().filter(|shown| {
        shown.delegate.0 == found.delegate && shown.created_slot == found.created_slot && {
            let channel = record.channel.to_bytes().into();
            let credential = CredentialBody { channel, seq: shown.seq, sig: shown.sig };
            verify_credential(&credential, found.created_slot, &found.delegate)
        }
    });
    let ceiling = |shown: &DelegateCredential| unit_price.ceiling(shown.seq).amount().unwrap_or(Amount::MAX);
    its.map(ceiling).max().unwrap_or(Amount::ZERO)
}

impl Client {
    /// The delegates of a channel that this store knows of.
    pub(in crate::client) async fn known_delegates(
        &self,
        record: &ChannelRecord,
    ) -> Result<Delegates, ClientError> {
        let delegations = self.known_delegations(record).await?;
        Ok(Delegates { delegations, now: self.chain().clock().await?.unix_timestamp })
    }

    /// The same, with those that another store of this funder may have named.
    pub(in crate::client) async fn all_delegates(
        &self,
        record: &ChannelRecord,
    ) -> Result<Delegates, ClientError> {
        let delegations = self.search_delegations(record).await?;
        Ok(Delegates { delegations, now: self.chain().clock().await?.unix_timestamp })
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

fn add(one: Amount, other: Amount) -> Amount {
    one.checked_add(other).unwrap_or(Amount::MAX)
}
