//! Closing delegations of which nothing can be settled any more: the rent goes back to who paid it.

use amp_protocol::account::DelegationAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use solana_address::Address;

use crate::chain::{ChainError, ComputeBudget, Confirmation, Plan, instructions};
use crate::client::close::{SLOT, TRIES};
use crate::client::store::ChannelRecord;
use crate::client::{Client, ClientError};

/// Most delegations that one transaction closes: each adds two accounts and an instruction to it, about
/// 80 bytes in all.
const TOGETHER: usize = 8;

impl Client {
    /// Closes a delegation that is revoked or expired and whose grace has passed, or whose channel is
    /// gone; its rent payer gets the rent back. Anyone may; this client pays the fee. Where it is too early
    /// the error says from when on it works. [`Client::close`] does it for the channel's delegations.
    pub async fn close_delegation(
        &self,
        channel: &Address,
        delegate: &Address,
    ) -> Result<Confirmation, ClientError> {
        self.inner.settings.funding("close a delegation")?;
        let found = self.delegation(channel, delegate).await?;
        let found = found.ok_or(ClientError::NoDelegation { channel: *channel, delegate: *delegate })?;
        let account = self.account(channel).await?;
        if let Some(account) = account.filter(|account| account.opened_slot == found.channel_opened_slot) {
            let (grace, now) = (account.terms.close_grace, self.chain().clock().await?.unix_timestamp);
            if !found.delegation.is_over(grace, now) {
                let until = found.delegation.collectable_until(grace);
                return Err(ClientError::DelegationNotOver {
                    channel: *channel,
                    delegate: *delegate,
                    closable_from: until.map(|until| until.saturating_add(1)),
                });
            }
        }
        let confirmation = self.send_close_delegations(std::slice::from_ref(&found)).await?;
        self.closed(&found).await?;
        Ok(confirmation)
    }

    /// Closes what is left of the delegations of a channel that is gone. The channel is closed whatever
    /// comes of it: a failure costs rent, which [`Client::close_delegation`] can still bring back.
    pub(in crate::client) async fn sweep_delegations(&self, record: &ChannelRecord) {
        let swept = async {
            let found = self.known_delegations(record).await?;
            for some in found.chunks(TOGETHER) {
                self.send_close_delegations(some).await?;
                for delegation in some {
                    self.closed(delegation).await?;
                }
            }
            Ok::<_, ClientError>(found.len())
        };
        match swept.await {
            Ok(0) => {}
            Ok(count) => tracing::info!(channel = %record.channel, count, "closed the channel's delegations"),
            Err(error) => {
                tracing::warn!(channel = %record.channel, %error, "the channel's delegations are not all closed");
            }
        }
    }

    async fn send_close_delegations(
        &self,
        delegations: &[DelegationAccount],
    ) -> Result<Confirmation, ClientError> {
        let funding = self.inner.settings.funding("close a delegation")?;
        let (program_id, options) = (&self.inner.settings.program_id, &self.inner.settings.options);
        let close = |found: &DelegationAccount| {
            let [channel, delegate, rent_payer] =
                [found.channel, found.delegate, found.rent_payer].map(Address::from);
            instructions::close_delegation(program_id, &channel, &delegate, &rent_payer)
        };
        let count = u32::try_from(delegations.len()).unwrap_or(u32::MAX);
        let budget = ComputeBudget::close_delegation().times(count);
        let payer = funding.rent_payer.public_key();
        let plan = Plan::new(payer, budget, options.priority_fee, delegations.iter().map(close).collect());
        let mut tries = 0_u32;
        loop {
            tries = tries.saturating_add(1);
            match plan.send(self.chain(), &[&*funding.rent_payer]).await {
                Err(ChainError::Rejected(Rejection::DelegationInCreationSlot)) if tries < TRIES => {
                    tokio::time::sleep(SLOT).await;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    async fn closed(&self, found: &DelegationAccount) -> Result<(), ClientError> {
        let (channel, key) = (Address::from(found.channel), Address::from(found.delegate));
        let claimed: Amount = found.delegation.signer.claimed;
        Ok(self.inner.store.delegation_closed(channel, key, claimed).await?)
    }
}
