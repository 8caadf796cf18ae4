//! Delegations of this client's channels, as the chain has them.

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use solana_address::Address;

use super::DelegationRecord;
use crate::chain::{self, ChainError};
use crate::client::service::Service;
use crate::client::store::{ChannelRecord, ChannelState};
use crate::client::{Client, ClientError};

impl Client {
    /// The delegations of the channel to the service of this URL: live, revoked and expired ones, until
    /// they are closed. Those that another store made are among them where the node can search for them.
    pub async fn delegations(&self, url: &str) -> Result<Vec<DelegationRecord>, ClientError> {
        self.inner.settings.funding("list delegations")?;
        let service = self.service_of(url)?;
        let record = self.unfinished(&service).await?;
        let found = self.search_delegations(&record).await?;
        Ok(found.iter().map(DelegationRecord::from).collect())
    }

    /// The newest channel to this service that is not closed, and not of another cluster: one's newest must not hide
    /// the other's.
    pub(in crate::client) async fn unfinished(
        &self,
        service: &Service,
    ) -> Result<ChannelRecord, ClientError> {
        let mut all = self.inner.store.all().await?;
        all.retain(|record| record.origin == service.name && record.state != ChannelState::Closed);
        let here = all.iter().position(|record| !self.is_elsewhere(record));
        let none = || ClientError::NoChannel { origin: service.name.clone() };
        let record = all.into_iter().nth(here.unwrap_or_default()).ok_or_else(none)?;
        self.check_network_of(&record)?;
        Ok(record)
    }

    /// The delegations that this store knows of, and are on chain for this incarnation of the channel.
    pub(in crate::client) async fn known_delegations(
        &self,
        record: &ChannelRecord,
    ) -> Result<Vec<DelegationAccount>, ClientError> {
        let mut found = Vec::new();
        for delegate in self.inner.store.delegates(record.id).await? {
            let account = self.delegation(&record.channel, &delegate.key).await?;
            found.extend(account.filter(|account| account.channel_opened_slot == record.opened_slot));
        }
        Ok(found)
    }

    /// The same, and those that the node finds. Not every node searches.
    pub(super) async fn search_delegations(
        &self,
        record: &ChannelRecord,
    ) -> Result<Vec<DelegationAccount>, ClientError> {
        let mut found = self.known_delegations(record).await?;
        let program_id = &self.inner.settings.program_id;
        let others = match chain::delegations(self.chain(), program_id, &record.channel).await {
            Ok(others) => others,
            Err(error) => {
                tracing::debug!(channel = %record.channel, %error, "only the known delegations are looked at");
                return Ok(found);
            }
        };
        for (_, other) in others {
            let known = found.iter().any(|known| known.delegate == other.delegate);
            if !known && other.channel_opened_slot == record.opened_slot {
                found.push(other);
            }
        }
        Ok(found)
    }

    /// The delegation account of a channel and a key, of whatever incarnation.
    pub(super) async fn delegation(
        &self,
        channel: &Address,
        delegate: &Address,
    ) -> Result<Option<DelegationAccount>, ChainError> {
        let program_id = &self.inner.settings.program_id;
        let address = chain::delegation_address(program_id, channel, delegate);
        let account = chain::delegation(self.chain(), program_id, &address).await?;
        let keys = (channel.to_bytes(), delegate.to_bytes());
        Ok(account.filter(|account| (account.channel, account.delegate) == keys))
    }

    /// The same, if it is of this incarnation of the channel.
    pub(super) async fn delegation_of(
        &self,
        channel: &Address,
        account: &ChannelAccount,
        delegate: &Address,
    ) -> Result<Option<DelegationAccount>, ChainError> {
        let found = self.delegation(channel, delegate).await?;
        Ok(found.filter(|found| found.channel_opened_slot == account.opened_slot))
    }
}
