use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use amp_protocol::account::DelegationAccount;
use amp_protocol::json::CredentialBody;
use amp_protocol::money::Amount;
use amp_protocol::rules::Delegation;
use solana_address::Address;
use tokio::time::Instant;

use super::clock::ChainTime;
use super::ledger::SignerId;
use super::store::Incarnation;
use super::views::{Source, Views};
use crate::chain::{self, Chain, ChainError, delegation_address};
use crate::signed;

/// Searches for delegations under way at once, of each kind: one costs a node far more than the read
/// of an account.
const SEARCHES: usize = 8;

/// A slot in which something was seen has ended after this; it takes 0.4 s.
const SLOT_IS_OVER: Duration = Duration::from_secs(1);

/// The delegations of each incarnation of a channel as they were on chain a moment ago.
pub(crate) type Delegates = Views<DelegationSource>;

/// The delegations of one incarnation.
#[derive(Debug)]
pub(crate) struct Delegations {
    /// Those that requests are held against, in this order.
    candidates: Vec<DelegationAccount>,
    /// What the chain has paid on each delegate's credentials, of all delegates.
    claimed: Vec<(SignerId, Amount)>,
    /// Which candidate verified last: most requests of a channel are one delegate's.
    recent: AtomicUsize,
    /// Whether there are more than are tried: who is among them changes when one of them ends.
    are_too_many: bool,
    /// The slot in which the newest of all was made; 0: there is none.
    newest: u64,
    /// Since when that is the newest.
    since: Instant,
    /// Whether none made in the slot of the newest can be missing: that slot had ended.
    is_final: AtomicBool,
}

impl PartialEq for Delegations {
    fn eq(&self, other: &Self) -> bool {
        (&self.candidates, &self.claimed) == (&other.candidates, &other.claimed)
    }
}

impl Delegations {
    /// Of those found on chain, the ones of this incarnation; `most` of them are candidates.
    ///
    /// Only the funder can make delegations, and it can make many. Live ones come first, the oldest
    /// of them first of all: so whoever is served goes on being served, whatever is added, and none
    /// that ended takes the place of a live one. One too many is never tried: what it would cost to try
    /// all of them is what a flood of bad signatures would cost the service.
    fn new(
        mut found: Vec<(Address, DelegationAccount)>,
        incarnation: Incarnation,
        program_id: &Address,
        most: usize,
        now: i64,
    ) -> Self {
        let Incarnation { channel, opened_slot } = incarnation;
        found.retain(|(_, one)| one.channel == channel && one.channel_opened_slot == opened_slot);
        found.sort_by_key(|(_, one)| {
            let ended = one.delegation.has_ended(now);
            // of the ended ones the newest come first
            (ended, if ended { !one.created_slot } else { one.created_slot }, one.delegate)
        });
        let claimed = found.iter().map(|(_, one)| (SignerId::delegate(one), one.delegation.signer.claimed));
        let claimed = claimed.collect();
        let newest = found.iter().map(|(_, one)| one.created_slot).max().unwrap_or_default();
        let are_too_many = found.len() > most;
        found.truncate(most);
        // what stands at another address is not the program's to settle
        let channel = Address::from(channel);
        let home = |one: &DelegationAccount| delegation_address(program_id, &channel, &one.delegate.into());
        found.retain(|(address, one)| *address == home(one));
        let candidates = found.into_iter().map(|(_, one)| one).collect();
        let (recent, is_final) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { candidates, claimed, recent, are_too_many, newest, since: Instant::now(), is_final }
    }

    /// Takes over what was known before.
    fn follow(&mut self, before: &Self) {
        if before.newest == self.newest {
            self.since = before.since;
            let is_final = self.since.elapsed() >= SLOT_IS_OVER;
            for view in [before, self] {
                view.is_final.store(is_final, Ordering::Relaxed);
            }
        }
    }

    /// Whether another search can't find another key, on a channel on which the last delegation was made
    /// in `delegated_slot`. It may find other limits and ends.
    pub(crate) fn are_all(&self, delegated_slot: u64) -> bool {
        !self.are_too_many && self.newest >= delegated_slot && self.is_final.load(Ordering::Relaxed)
    }

    /// A delegate's delegation, ended or not.
    pub(crate) fn of(&self, signer: &SignerId) -> Option<Delegation> {
        let found = self.candidates.iter().find(|one| SignerId::delegate(one) == *signer);
        found.map(|one| one.delegation)
    }

    /// The delegate that signed, ended or not: the one that did last time is tried first.
    pub(crate) fn signer_of(&self, credential: &CredentialBody) -> Option<&DelegationAccount> {
        let recent = self.recent.load(Ordering::Relaxed);
        let others = (0..self.candidates.len()).filter(|at| *at != recent);
        let found = std::iter::once(recent).chain(others).find_map(|at| {
            let one = self.candidates.get(at)?;
            signed::verify_credential(credential, one.created_slot, &one.delegate).then_some((at, one))
        });
        let (at, one) = found?;
        self.recent.store(at, Ordering::Relaxed);
        Some(one)
    }
}

/// Delegations on chain.
pub(crate) struct DelegationSource {
    chain: Arc<dyn Chain>,
    program_id: Address,
    most: usize,
    time: Arc<ChainTime>,
}

impl DelegationSource {
    /// Views of delegations that are at most `max_age` old, with `most` candidates each; 0: nothing is
    /// looked for, and no delegate is served.
    pub(crate) fn views(
        chain: Arc<dyn Chain>,
        program_id: Address,
        max_age: Duration,
        most: u32,
        time: Arc<ChainTime>,
    ) -> Delegates {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Views::new(Self { chain, program_id, most, time }, max_age, SEARCHES)
    }
}

impl Source for DelegationSource {
    type Key = Incarnation;
    type View = Arc<Delegations>;

    async fn read(
        &self,
        incarnation: Incarnation,
        before: Option<Arc<Delegations>>,
    ) -> Result<(Arc<Delegations>, Option<u64>), ChainError> {
        let found = if self.most == 0 {
            Vec::new()
        } else {
            let channel = Address::from(incarnation.channel);
            chain::delegations(&*self.chain, &self.program_id, &channel).await?
        };
        let now = self.time.now();
        let mut found = Delegations::new(found, incarnation, &self.program_id, self.most, now);
        if let Some(before) = before {
            found.follow(&before);
        }
        Ok((Arc::new(found), None))
    }

    fn is_there(view: &Arc<Delegations>) -> bool {
        !view.claimed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{AccountSnapshot, PROGRAM_ID};
    use crate::server::testing::{Bench, CHANNEL, delegation_account};
    use crate::server::views::Freshness;
    use crate::signer::{KeypairSigner, Signer};

    fn incarnation() -> Incarnation {
        Incarnation { channel: CHANNEL, opened_slot: delegation_account([0; 32], 1).channel_opened_slot }
    }

    fn delegates(bench: &Bench, most: u32) -> Delegates {
        let age = Duration::from_secs(15);
        DelegationSource::views(bench.chain.clone(), PROGRAM_ID, age, most, Arc::default())
    }

    async fn found(bench: &Bench, most: u32) -> Vec<DelegationAccount> {
        let view = delegates(bench, most).get(incarnation(), Freshness::Cached).await.unwrap();
        view.candidates.clone()
    }

    /// Puts a delegation made in `slot` on chain.
    fn put(bench: &Bench, key: u8, slot: u64, change: impl FnOnce(&mut DelegationAccount)) {
        let mut account = delegation_account([key; 32], 100);
        account.created_slot = slot;
        change(&mut account);
        bench.chain.put_delegation(&account);
    }

    #[tokio::test]
    async fn the_oldest_live_delegates_are_tried_whoever_is_added_and_the_newest_of_the_ended() {
        let bench = Bench::new();
        let now = bench.chain.now();
        put(&bench, 1, 30, |_| ());
        put(&bench, 2, 20, |_| ());
        put(&bench, 3, 10, |account| account.delegation.revoked_at = now - 9);
        put(&bench, 4, 11, |account| account.delegation.expires_at = now - 9);
        put(&bench, 5, 40, |account| account.delegation.expires_at = now + 999);
        let order: Vec<u8> = found(&bench, 16).await.iter().map(|one| one.delegate[0]).collect();
        assert_eq!(order, [2, 1, 5, 4, 3]);
        let order: Vec<u8> = found(&bench, 2).await.iter().map(|one| one.delegate[0]).collect();
        assert_eq!(order, [2, 1]);
    }

    #[tokio::test]
    async fn what_only_looks_like_a_delegation_of_this_channel_is_none() {
        let bench = Bench::new();
        let good = delegation_account([1; 32], 100);
        let encoded = |account: &DelegationAccount| account.encode().to_vec();
        let home = |key: [u8; 32]| delegation_address(&PROGRAM_ID, &CHANNEL.into(), &key.into()).to_bytes();
        let put =
            |address, owner, data| bench.chain.put(address, AccountSnapshot { owner, lamports: 1, data });
        put(
            home([2; 32]),
            Address::from([66; 32]),
            encoded(&DelegationAccount { delegate: [2; 32], ..good.clone() }),
        );
        put([3; 32], PROGRAM_ID, encoded(&DelegationAccount { delegate: [3; 32], ..good.clone() }));
        let mut other_kind = encoded(&DelegationAccount { delegate: [4; 32], ..good.clone() });
        other_kind[0] ^= 1;
        put(home([4; 32]), PROGRAM_ID, other_kind);
        let mut newer = encoded(&DelegationAccount { delegate: [5; 32], ..good.clone() });
        newer[8] = 2;
        put(home([5; 32]), PROGRAM_ID, newer);
        let earlier = DelegationAccount { delegate: [6; 32], channel_opened_slot: 1, ..good.clone() };
        put(home([6; 32]), PROGRAM_ID, encoded(&earlier));
        assert_eq!(found(&bench, 16).await, []);
        bench.chain.put_delegation(&good);
        assert_eq!(found(&bench, 16).await, [good]);
    }

    #[tokio::test]
    async fn whose_signature_it_is_is_found_and_tried_first_next_time() {
        let bench = Bench::new();
        let keys: Vec<KeypairSigner> = (0..5).map(|_| bench.delegate(100).0).collect();
        let view = delegates(&bench, 16).get(incarnation(), Freshness::Cached).await.unwrap();
        for key in keys.iter().chain(&keys) {
            let credential = bench.delegated(key, 7).await;
            assert_eq!(view.signer_of(&credential).unwrap().delegate, key.public_key().to_bytes());
            let recent = view.recent.load(Ordering::Relaxed);
            assert_eq!(view.candidates[recent].delegate, key.public_key().to_bytes());
        }
        let stranger = bench.delegated(&KeypairSigner::generate(), 7).await;
        assert_eq!(view.signer_of(&stranger), None);
        let other_epoch = bench.signed_by(&keys[0], 99, 7).await;
        assert_eq!(view.signer_of(&other_epoch), None);
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_known_once_the_slot_of_the_newest_is_over_unless_there_are_too_many() {
        let bench = Bench::new();
        put(&bench, 1, 30, |_| ());
        let of_two = delegates(&bench, 2);
        let look = async || {
            tokio::time::advance(Duration::from_millis(1)).await;
            of_two.get(incarnation(), Freshness::Since(Instant::now())).await.unwrap()
        };
        assert!(!look().await.are_all(30), "another may be made in the same slot");
        tokio::time::advance(SLOT_IS_OVER).await;
        let view = look().await;
        assert!(view.are_all(30) && view.are_all(29) && !view.are_all(31));
        put(&bench, 2, 31, |_| ());
        assert!(!look().await.are_all(31));
        tokio::time::advance(SLOT_IS_OVER).await;
        assert!(look().await.are_all(31));
        put(&bench, 3, 31, |_| ());
        tokio::time::advance(SLOT_IS_OVER).await;
        assert!(!look().await.are_all(31), "one of three is not tried");
    }

    #[tokio::test]
    async fn without_delegates_nothing_is_searched_for() {
        let bench = Bench::new();
        bench.delegate(100);
        assert_eq!(found(&bench, 0).await, []);
        assert_eq!(bench.chain.searches(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_forced_looks_searches_once_a_second() {
        let bench = Bench::new();
        bench.delegate(100);
        let delegates = delegates(&bench, 16);
        let begun = Instant::now();
        for _ in 0..4 {
            let now = Instant::now();
            let looks = (0..100).map(|_| delegates.get(incarnation(), Freshness::Since(now)));
            assert!(futures::future::join_all(looks).await.iter().all(Result::is_ok));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(bench.chain.searches(), 4);
        assert!(begun.elapsed() >= Duration::from_secs(3));
    }
}
