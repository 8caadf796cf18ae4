//! What the ledger must come to: every seq and every reservation, added up anew each time.

use super::*;

/// A request in flight.
#[derive(Clone, Copy)]
pub(super) struct Open {
    pub(super) signer: SignerId,
    /// Set aside.
    pub(super) price: u64,
    /// Of a metered one: charged so far.
    pub(super) charged: Option<u64>,
}

impl Open {
    /// What `used` in all is beyond what was charged, as far as it was set aside.
    pub(super) fn due(&self, used: u64) -> u64 {
        used.saturating_sub(self.charged.unwrap_or(0)).min(self.price)
    }
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) accepted: BTreeMap<SignerId, BTreeSet<u64>>,
    /// Those that are in the store.
    pub(super) stored: BTreeMap<SignerId, BTreeSet<u64>>,
    /// Used before the store was lost.
    pub(super) floor: BTreeMap<SignerId, u64>,
    pub(super) spent: BTreeMap<SignerId, u64>,
    /// The same by the store: with what streams may have used when it was written.
    pub(super) disk: BTreeMap<SignerId, u64>,
    /// Signers of whom the disk says more than is owed: the last charge of a stream did not reach it. The service
    /// writes them again as soon as its store is back.
    pub(super) behind: BTreeSet<SignerId>,
    /// It was killed before it could: what the disk says of all signers can be more than a window pays.
    pub(super) overstated: bool,
    pub(super) claimed: BTreeMap<SignerId, u64>,
    pub(super) open: Vec<Open>,
    /// A delegation was closed that still owed, and so was its record lost: how much was claimed of
    /// it nobody can tell any more.
    pub(super) blurred: bool,
}

impl Model {
    pub(super) fn used(&self, signer: Option<SignerId>) -> u64 {
        let is = |other: SignerId| signer.is_none_or(|signer| signer == other);
        let spent: u64 = self.spent.iter().filter(|(key, _)| is(**key)).map(|(_, spent)| spent).sum();
        spent + self.open.iter().filter(|open| is(open.signer)).map(|open| open.price).sum::<u64>()
    }

    /// A signer's record is written.
    pub(super) fn store(&mut self, id: SignerId) {
        let ahead = self.open.iter().filter(|open| open.signer == id && open.charged.is_some());
        let spent = self.spent.get(&id).copied().unwrap_or(0) + ahead.map(|open| open.price).sum::<u64>();
        self.disk.insert(id, spent);
        self.behind.remove(&id);
        self.stored.insert(id, self.accepted[&id].clone());
    }

    /// What is left of all bounds on money for a signer whose highest seq is `highest`.
    pub(super) fn room(
        &self,
        seen: &World,
        (id, authority): (SignerId, Authority),
        highest: u64,
        now: i64,
    ) -> u64 {
        let account = &seen.account;
        let window = account.books.window.at(now, INTERVAL).unwrap();
        let unclaimed = self.used(None) - account.books.claimed.get();
        let (own, all) = (self.used(Some(id)), self.used(None));
        [
            (highest * UNIT_PRICE).saturating_sub(own),
            authority.limit().map_or(u64::MAX, |limit| limit.get().saturating_sub(own)),
            account.books.deposited.get().saturating_sub(all),
            (RATE_LIMIT - window.claimed.get()).saturating_sub(unclaimed),
        ]
        .into_iter()
        .min()
        .unwrap()
    }

    pub(super) fn admits(&self, seen: &World, signer: usize, seq: u64, price: u64, now: i64) -> bool {
        let Some((id, authority)) = seen.authority(signer) else { return false };
        let none = BTreeSet::new();
        let accepted = self.accepted.get(&id).unwrap_or(&none);
        let lost = self.floor.get(&id).copied().unwrap_or(0);
        let floor = accepted.iter().rev().nth(WINDOW as usize).copied().unwrap_or(lost);
        let highest = accepted.last().copied().unwrap_or(0).max(seq);
        let deposited = seen.account.books.deposited.get();
        let fresh = seq > floor && !accepted.contains(&seq) && seq * UNIT_PRICE <= deposited;
        let paid = price <= self.room(seen, (id, authority), highest, now);
        fresh && (price == 0 || paid) && !authority.has_ended(now)
    }

    /// What a service knows that begins anew with its store: what streams had set aside may have left.
    pub(super) fn restart(&mut self) {
        self.spent.clone_from(&self.claimed);
        self.spent.extend(&self.disk);
        self.accepted.clone_from(&self.stored);
        self.open.clear();
        self.overstated |= !std::mem::take(&mut self.behind).is_empty();
    }

    /// What a service knows that begins anew with what the chain has booked.
    pub(super) fn lose_store(&mut self) {
        let owed_by_closed = self.blurred;
        *self = Self { claimed: std::mem::take(&mut self.claimed), ..Self::default() };
        self.spent.clone_from(&self.claimed);
        self.floor = self.claimed.iter().map(|(id, claimed)| (*id, claimed.div_ceil(UNIT_PRICE))).collect();
        self.blurred = owed_by_closed;
    }
}
