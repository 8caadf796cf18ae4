//! Closing many channels, whatever becomes of one.

use super::{ChannelRecord, ChannelState, Client, ClientError, CloseOutcome};

impl Client {
    /// Closes every channel in the store, those of earlier runs too. Calling it again finishes those
    /// whose grace period had to pass. Those of other clusters stay as they are
    /// ([`ClientError::OtherCluster`]); an error of one does not keep the others.
    pub async fn close_all(
        &self,
    ) -> Result<Vec<(ChannelRecord, Result<CloseOutcome, ClientError>)>, ClientError> {
        let mut open = self.channels().await?;
        open.retain(|record| record.state != ChannelState::Closed);
        self.close_these(open).await
    }

    /// The same for some of [`Client::channels`] only: what somebody was shown and agreed to. Channels that come
    /// into the store meanwhile stay open.
    pub async fn close_these(
        &self,
        chosen: Vec<ChannelRecord>,
    ) -> Result<Vec<(ChannelRecord, Result<CloseOutcome, ClientError>)>, ClientError> {
        self.inner.settings.funding("close a channel")?;
        let mut outcomes = Vec::new();
        for record in chosen {
            let outcome = self.close_chosen(&record).await;
            outcomes.push((record, outcome));
        }
        Ok(outcomes)
    }

    /// By what the store has of it by now: another process may have closed it since it was chosen.
    async fn close_chosen(&self, chosen: &ChannelRecord) -> Result<CloseOutcome, ClientError> {
        let mut all = self.inner.store.all().await?;
        all.retain(|record| record.id == chosen.id && record.channel == chosen.channel);
        let Some(record) = all.pop() else {
            return match chosen.state {
                ChannelState::Opening => Ok(CloseOutcome::NeverOpened),
                _ => Err(ClientError::NoChannel { origin: chosen.origin.clone() }),
            };
        };
        if record.state == ChannelState::Closed {
            return Ok(CloseOutcome::AlreadyClosed);
        }
        let service = self.service_of(&record.origin)?;
        self.close_record(&service, record).await
    }
}
