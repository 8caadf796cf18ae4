//! A channel and its delegations as they were at one moment.
//!
//! What was claimed in all and what of each delegate stands in accounts of their own. Read one after the other,
//! perhaps from nodes of which one lags, a settlement in between would be taken for a claim that nobody
//! remembers, or would hide one. Accounts that a node gives together are of one slot.

use std::collections::BTreeSet;
use std::time::Duration;

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::money::Amount;
use solana_address::Address;
use tokio::time::sleep;

use super::books::Book;
use super::denial::Denial;
use super::ledger::SignerId;
use super::service::{Core, incarnation};
use crate::chain::{self, AccountSnapshot, ChainError, MAX_ACCOUNTS_AT_ONCE, delegation_address};

/// Tries to see all of one moment where that takes several reads: settlements of one channel are seconds apart.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What the chain had paid at one moment.
pub(crate) struct Moment {
    pub(crate) account: ChannelAccount,
    /// On each delegate's credentials, of all delegates of this incarnation.
    pub(crate) claimed: Vec<(SignerId, Amount)>,
}

impl Core {
    /// The channel of a book and all its delegations. The search may lag: it only tells where to look, and where
    /// the delegations of all signers in the books are is known without it.
    pub(crate) async fn moment(&self, book: &Book) -> Result<Moment, Denial> {
        let unreachable = |error| Denial::chain(&error);
        let (program_id, channel) = (&self.program_id, Address::from(book.incarnation.channel));
        let found = chain::delegations(&*self.chain, program_id, &channel).await.map_err(unreachable)?;
        let mut addresses: BTreeSet<Address> = found.into_iter().map(|(address, _)| address).collect();
        let signers = book.ledger().signer_keys();
        addresses.extend(signers.iter().map(|key| delegation_address(program_id, &channel, &(*key).into())));
        let addresses: Vec<Address> = addresses.into_iter().collect();
        for _ in 0..TRIES {
            if let Some(moment) = self.look_at_once(book, channel, &addresses).await? {
                return Ok(moment);
            }
            sleep(PAUSE).await;
        }
        Err(Denial::unavailable("the channel is being settled; try again"))
    }

    /// All of these; none where a settlement came between two reads.
    async fn look_at_once(
        &self,
        book: &Book,
        channel: Address,
        addresses: &[Address],
    ) -> Result<Option<Moment>, Denial> {
        let mut moment: Option<Moment> = None;
        // the channel is read with each of them: as long as it has paid the same in all, so has each delegation
        let rest = MAX_ACCOUNTS_AT_ONCE.saturating_sub(1);
        let chunks: Vec<&[Address]> =
            if addresses.is_empty() { vec![&[]] } else { addresses.chunks(rest).collect() };
        for some in chunks {
            let asked: Vec<Address> = std::iter::once(channel).chain(some.iter().copied()).collect();
            let read = self.chain.accounts(&asked).await.map_err(|error| Denial::chain(&error))?;
            let mut accounts = read.0.into_iter();
            let account = accounts.next().flatten().filter(|account| account.owner == self.program_id);
            let account = account.and_then(|account| ChannelAccount::decode(&account.data).ok());
            let account =
                account.filter(|account| incarnation(channel.to_bytes(), account) == book.incarnation);
            let Some(account) = account else { return Err(Denial::closed(channel.to_bytes())) };
            let claimed = accounts.map(|account| self.claimed_of(book, account));
            let claimed = claimed.collect::<Result<Vec<_>, _>>().map_err(|error| Denial::chain(&error))?;
            let all = moment.get_or_insert_with(|| Moment { account: account.clone(), claimed: Vec::new() });
            if all.account.books.claimed != account.books.claimed {
                return Ok(None);
            }
            all.claimed.extend(claimed.into_iter().flatten());
        }
        Ok(moment)
    }

    /// What was claimed of a delegation of the book's incarnation, where one is.
    fn claimed_of(
        &self,
        book: &Book,
        account: Option<AccountSnapshot>,
    ) -> Result<Option<(SignerId, Amount)>, ChainError> {
        let Some(account) = account.filter(|account| account.owner == self.program_id) else {
            return Ok(None);
        };
        // one that can't be read may have been claimed from: it is not the same as none
        let unreadable = |_| ChainError::Unreachable("a delegation can't be read".to_owned());
        let one = DelegationAccount::decode(&account.data).map_err(unreadable)?;
        let is_own = one.channel == book.incarnation.channel
            && one.channel_opened_slot == book.incarnation.opened_slot;
        Ok(is_own.then(|| (SignerId::delegate(&one), one.delegation.signer.claimed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::{Bench, CHANNEL};

    async fn spend(bench: &Bench, service: &crate::server::AmpService) {
        let (key, _) = bench.delegate(1_000);
        let credential = bench.delegated(&key, 10).await;
        let price = Amount::new(10);
        service.authorize(&credential, price).await.unwrap().charge(price).await.unwrap();
        bench.chain.advance(120);
        service.settle(CHANNEL.into()).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_seen_of_signers_in_the_books_does_not_hang_on_a_search_that_lags() {
        let bench = Bench::new();
        let service = bench.service_with(bench.config()).await;
        spend(&bench, &service).await;
        bench.chain.lag_searches();
        let book = service.core.books.of(CHANNEL).pop().unwrap();
        let moment = service.core.moment(&book).await.unwrap();
        assert_eq!(moment.account.books.claimed, Amount::new(10));
        assert_eq!(moment.claimed.iter().map(|(_, claimed)| *claimed).collect::<Vec<_>>(), [Amount::new(10)]);
    }

    #[tokio::test]
    async fn a_channel_that_is_gone_has_no_moment() {
        let bench = Bench::new();
        let service = bench.service_with(bench.config()).await;
        spend(&bench, &service).await;
        let book = service.core.books.of(CHANNEL).pop().unwrap();
        bench.chain.remove(CHANNEL);
        assert!(service.core.moment(&book).await.is_err());
    }
}
