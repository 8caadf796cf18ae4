use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amp_protocol::account::{AccountError, ChannelAccount};
use amp_protocol::json::CredentialBody;
use amp_protocol::message::Key;
use solana_address::Address;
use tokio::time::Instant;

use super::outage::Outage;
use super::views::{Source, Views, in_time};
use crate::chain::{self, Chain, ChainError};
use crate::signed::UnpackedKey;

/// Reads of channels under way at once, of each kind.
const READS: usize = 32;

/// Channel accounts as they were on chain a moment ago.
pub(crate) type Channels = Views<ChannelSource>;

/// A channel account, or that there is none.
pub(crate) type View = Option<Arc<Channel>>;

/// A channel account, and its authorized signer's key for the requests to come.
#[derive(Debug)]
pub(crate) struct Channel {
    account: ChannelAccount,
    /// Unpacked when it is first needed: the settlement worker looks at channels that nobody uses.
    key: OnceLock<Box<UnpackedKey>>,
}

impl Channel {
    pub(crate) fn new(account: ChannelAccount) -> Self {
        Self { account, key: OnceLock::new() }
    }

    /// Whether the authorized signer signed.
    pub(crate) fn has_signed(&self, credential: &CredentialBody) -> bool {
        let key = self.key.get_or_init(|| Box::new(UnpackedKey::new(&self.account.authorized_signer)));
        key.verify_credential(credential, self.account.opened_slot)
    }
}

impl Deref for Channel {
    type Target = ChannelAccount;

    fn deref(&self) -> &ChannelAccount {
        &self.account
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        self.account == other.account
    }
}

/// Channel accounts on chain.
pub(crate) struct ChannelSource {
    chain: Arc<dyn Chain>,
    program_id: Address,
    outage: Arc<Outage>,
}

impl ChannelSource {
    /// Views of channels that are at most `max_age` old.
    pub(crate) fn views(
        chain: Arc<dyn Chain>,
        program_id: Address,
        max_age: Duration,
        outage: Arc<Outage>,
    ) -> Channels {
        Views::new(Self { chain, program_id, outage }, max_age, READS)
    }
}

impl Source for ChannelSource {
    type Key = Key;
    type View = View;

    /// The channel at an address: an account of the program that decodes, or `None`.
    async fn read(&self, channel: Key, _before: Option<View>) -> Result<(View, Option<u64>), ChainError> {
        match chain::channel_at(&*self.chain, &self.program_id, &Address::from(channel)).await {
            Ok((account, slot)) => Ok((account.map(Channel::new).map(Arc::new), slot)),
            Err(error) => Ok((view_of(Err(error))?, None)),
        }
    }

    fn note(&self, channel: Key, read: Result<(), &ChainError>) {
        match read {
            Ok(()) => {
                self.outage.answered();
                self.outage.looked_at(channel);
            }
            Err(ChainError::Unreachable(_)) => self.outage.did_not_answer(),
            Err(_) => self.outage.answered(),
        }
    }

    fn is_there(view: &View) -> bool {
        view.is_some()
    }
}

fn view_of(read: Result<Option<ChannelAccount>, ChainError>) -> Result<View, ChainError> {
    match read {
        Ok(account) => Ok(account.map(Channel::new).map(Arc::new)),
        // the program's, but another kind of account. One of a newer version is an error instead:
        // taken for gone, what it owes would be given up
        Err(ChainError::Account { error: AccountError::Length | AccountError::Discriminator, .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Channels {
    /// Reads many channels at once, now, as the settlement worker does; what it brings is in the views for
    /// everybody. In their order.
    pub(crate) async fn read_all(
        &self,
        channels: &[Key],
    ) -> Result<Vec<Result<View, ChainError>>, ChainError> {
        let at = Instant::now();
        let addresses: Vec<Address> = channels.iter().copied().map(Address::from).collect();
        let read = chain::channels(&*self.source.chain, &self.source.program_id, &addresses);
        let read = in_time(read).await;
        for channel in channels {
            self.source.note(*channel, read.as_ref().map(drop));
        }
        let (found, slot) = read?;
        let views = channels.iter().zip(found);
        Ok(views.map(|(channel, read)| Ok(self.put(*channel, view_of(read)?, slot, at))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::{Bench, CHANNEL};
    use crate::server::views::Freshness;
    use amp_protocol::money::Amount;

    fn channels(bench: &Bench) -> Channels {
        let (age, outage) = (Duration::from_secs(15), Outage::new(Amount::ZERO, Duration::ZERO));
        ChannelSource::views(bench.chain.clone(), crate::chain::PROGRAM_ID, age, outage)
    }

    #[tokio::test]
    async fn accounts_of_other_programs_and_other_kinds_are_no_channel() {
        let bench = Bench::new();
        let mut account = bench.chain.snapshot(CHANNEL);
        account.owner = Address::from([1; 32]);
        bench.chain.put([8; 32], account.clone());
        account.owner = crate::chain::PROGRAM_ID;
        account.data.truncate(100);
        bench.chain.put([9; 32], account);
        let channels = channels(&bench);
        for address in [[8; 32], [9; 32]] {
            assert_eq!(channels.get(address, Freshness::Now).await.unwrap(), None);
        }
        assert!(channels.get(CHANNEL, Freshness::Now).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_channel_of_a_newer_version_is_an_error_and_not_gone() {
        let bench = Bench::new();
        let mut account = bench.chain.snapshot(CHANNEL);
        account.data[8] = 2;
        bench.chain.put(CHANNEL, account);
        let error = channels(&bench).get(CHANNEL, Freshness::Now).await.unwrap_err();
        assert!(error.to_string().contains("unknown version 2"), "{error}");
    }

    #[tokio::test]
    async fn many_channels_are_read_at_once_and_each_is_told_as_if_it_were_read_alone() {
        let bench = Bench::new();
        bench.another([8; 32]);
        let mut newer = bench.chain.snapshot(CHANNEL);
        newer.data[8] = 2;
        bench.chain.put([9; 32], newer);
        let channels = channels(&bench);
        let views = channels.read_all(&[CHANNEL, [7; 32], [9; 32], [8; 32]]).await.unwrap();
        let [Ok(Some(first)), Ok(None), Err(_), Ok(Some(_))] = &views[..] else { panic!("{views:?}") };
        assert_eq!(bench.chain.calls(), 1);
        // and requests find what was read
        let seen = channels.get(CHANNEL, Freshness::Cached).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(first, &seen) && bench.chain.calls() == 1);
    }
}
