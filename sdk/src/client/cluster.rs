//! Whether a node is of the cluster that a channel is on: before "there is no such channel" is taken for its end.

use solana_address::Address;

use super::{ChannelRecord, Client, ClientError, Elsewhere};

impl Client {
    /// Whether the node's cluster has the AMP program at all: before "there is no channel" is taken for
    /// an end. A node of another cluster, or an empty one, knows none of this client's channels.
    pub(super) async fn check_cluster(&self) -> Result<(), ClientError> {
        let program_id = self.inner.settings.program_id;
        match self.chain().account(&program_id).await? {
            Some(_) => Ok(()),
            None => Err(ClientError::NoProgram { program_id }),
        }
    }

    /// The same for a channel of the store. Another cluster may have the same program under the same id, where no
    /// channel of this one will ever be found: its record would be taken for closed, and its deposit forgotten.
    pub(super) async fn check_cluster_of(&self, record: &ChannelRecord) -> Result<(), ClientError> {
        self.check_network_of(record)?;
        self.check_cluster().await?;
        match self.chain().account(&record.mint).await? {
            Some(_) => Ok(()),
            // no chain holds tokens without their mint
            None => {
                let reason = Elsewhere::Mint(record.mint);
                Err(ClientError::OtherCluster { channel: record.channel, reason })
            }
        }
    }

    /// The same before a channel that the chain does not show is said to be gone. The store may know it as one of
    /// another cluster; where it knows none of this address, the node is all there is to ask.
    pub(super) async fn check_cluster_of_address(&self, channel: &Address) -> Result<(), ClientError> {
        let mut known = self.inner.store.all().await?;
        known.retain(|record| record.channel == *channel);
        // both may be there: this cluster's own is the one that was meant
        let own = known.iter().find(|record| !self.is_elsewhere(record));
        match own.or_else(|| known.first()) {
            Some(record) => self.check_cluster_of(record).await,
            None => self.check_cluster().await,
        }
    }

    /// Whether a channel of the store is recorded as one of another cluster than this client's: then this client neither
    /// pays from it nor closes it.
    #[must_use]
    pub fn is_elsewhere(&self, record: &ChannelRecord) -> bool {
        !record.is_on(&self.inner.settings.options.network)
    }

    /// Whether a channel of the store is recorded as one of this client's cluster, or of none.
    pub(super) fn check_network_of(&self, record: &ChannelRecord) -> Result<(), ClientError> {
        let pinned = &self.inner.settings.options.network;
        match &record.network {
            Some(named) if self.is_elsewhere(record) => {
                let reason = Elsewhere::Network { named: named.clone(), pinned: pinned.clone() };
                Err(ClientError::OtherCluster { channel: record.channel, reason })
            }
            _ => Ok(()),
        }
    }
}
