//! How many look-ups at the chain one peer can cause.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::views::lock;

/// Most peers that are remembered, each with about 40 bytes. One whose budget is whole again is forgotten.
const CAPACITY: usize = 65_536;
/// How often at most the whole ones are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// A budget for each peer, and one for all those together for which there is no room.
///
/// What is kept of a peer is when its budget will be whole. A look-up moves that by the time in which one comes
/// back (the generic cell rate algorithm).
pub(crate) struct Peers {
    /// In how much time one look-up comes back.
    each: Duration,
    /// In how much time a whole budget does.
    all: Duration,
    budgets: Mutex<Budgets>,
}

#[derive(Default)]
struct Budgets {
    whole_at: HashMap<IpAddr, Instant>,
    crowd: Option<Instant>,
    swept: Option<Instant>,
}

/// A look-up that was paid for.
#[must_use]
pub(crate) struct Paid(Option<IpAddr>);

impl Peers {
    /// `burst` look-ups at once, and `per_second` in the long run; neither is 0.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let each = Duration::from_secs(1).checked_div(per_second).unwrap_or(Duration::from_secs(1));
        Self { each, all: each.saturating_mul(burst), budgets: Mutex::default() }
    }

    /// Takes a look-up of a peer's budget, or says in how many seconds there will be one. A peer that is not
    /// known has no budget of its own: only what bounds all holds for it.
    pub(crate) fn take(&self, peer: Option<IpAddr>) -> Result<Paid, u64> {
        let Some(peer) = peer.map(network) else { return Ok(Paid(None)) };
        let now = Instant::now();
        let budgets = &mut *lock(&self.budgets);
        let whole_at = budgets.of(peer, now);
        let after = whole_at.max(now).checked_add(self.each).ok_or(1_u64)?;
        let used = after.saturating_duration_since(now);
        if used > self.all {
            let wait = used.saturating_sub(self.all);
            return Err(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1));
        }
        budgets.set(peer, after);
        Ok(Paid(Some(peer)))
    }

    /// It was no stranger's after all.
    pub(crate) fn give_back(&self, paid: Paid) {
        let Some(peer) = paid.0 else { return };
        let budgets = &mut *lock(&self.budgets);
        if let Some(before) = budgets.of(peer, Instant::now()).checked_sub(self.each) {
            budgets.set(peer, before);
        }
    }
}

impl Budgets {
    /// When a peer's budget will be whole.
    fn of(&mut self, peer: IpAddr, now: Instant) -> Instant {
        if let Some(whole_at) = self.whole_at.get(&peer) {
            return *whole_at;
        }
        let rested = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP);
        if self.whole_at.len() >= CAPACITY && rested {
            self.whole_at.retain(|_, whole_at| *whole_at > now);
            self.swept = Some(now);
        }
        if self.whole_at.len() < CAPACITY { now } else { self.crowd.unwrap_or(now) }
    }

    fn set(&mut self, peer: IpAddr, whole_at: Instant) {
        if self.whole_at.len() < CAPACITY || self.whole_at.contains_key(&peer) {
            self.whole_at.insert(peer, whole_at);
        } else {
            self.crowd = Some(whole_at);
        }
    }
}

/// Whom limits of a peer hold for: an IPv4 address, or an IPv6 network of 64 bits, as anybody has one of those.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn taken(peers: &Peers, peer: Option<IpAddr>) -> usize {
        (0..100).take_while(|_| peers.take(peer).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_has_a_burst_and_then_so_many_a_second_and_others_have_their_own() {
        let (peers, one) = (Peers::new(2, 10), peer("192.0.2.1"));
        assert_eq!(taken(&peers, one), 10);
        assert_eq!(taken(&peers, peer("192.0.2.2")), 10);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(taken(&peers, one), 4);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(taken(&peers, one), 10, "it saves up no more than a burst");
        let seconds = peers.take(one).err();
        assert_eq!(seconds, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_can_be_taken_again_and_no_more_than_that() {
        let (peers, one) = (Peers::new(1, 3), peer("192.0.2.1"));
        for _ in 0..10 {
            let paid = peers.take(one).unwrap_or_else(|_| panic!("it was given back"));
            peers.give_back(paid);
        }
        assert_eq!(taken(&peers, one), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_one_network_share_a_budget() {
        let peers = Peers::new(1, 4);
        assert_eq!(taken(&peers, peer("2001:db8:1:2::1")), 4);
        assert_eq!(taken(&peers, peer("2001:db8:1:2:ffff::9")), 0);
        assert_eq!(taken(&peers, peer("2001:db8:1:3::1")), 4);
        assert_eq!(taken(&peers, peer("192.0.2.1")), 4);
        assert_eq!(taken(&peers, peer("::ffff:192.0.2.1")), 0, "the same address, written otherwise");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_not_known_has_no_budget_of_its_own() {
        assert_eq!(taken(&Peers::new(1, 1), None), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_those_that_do_not_fit_share_a_budget() {
        let peers = Peers::new(1, 4);
        let address = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        for number in 0..u32::try_from(CAPACITY).unwrap() {
            assert!(peers.take(address(number)).is_ok());
        }
        let newcomers = (0..100).map(|number| address(1 << 24 | number));
        assert_eq!(newcomers.filter(|peer| peers.take(*peer).is_ok()).count(), 4);
        assert_eq!(lock(&peers.budgets).whole_at.len(), CAPACITY);
        assert_eq!(taken(&peers, address(7)), 3, "who was there keeps its own");
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(taken(&peers, address(1 << 24)), 4);
        assert!(lock(&peers.budgets).whole_at.len() < 10, "who is whole again is forgotten");
    }
}
