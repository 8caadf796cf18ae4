use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use amp_sdk::server::peer_network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;

/// How often at most it is said that there are too many: whoever causes that must not fill the log.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Places for connections.
pub(super) struct Places {
    all: Arc<Semaphore>,
    connections: usize,
    per_address: usize,
    trusted_proxies: Vec<IpAddr>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    full: Mutex<Said>,
    closed: Mutex<Said>,
}

/// A connection's place; it is free again when this is dropped.
pub(super) struct Place {
    _one: Option<OwnedSemaphorePermit>,
    address: Option<IpAddr>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// What was said lately, and what was not.
#[derive(Default)]
struct Said {
    at: Option<Instant>,
    since: u64,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        let Limits { connections, per_address, .. } = *limits;
        Self {
            all: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            connections,
            per_address,
            trusted_proxies: limits.trusted_proxies.clone(),
            held: Arc::default(),
            full: Mutex::default(),
            closed: Mutex::default(),
        }
    }

    /// Waits for a place. `None`, never: nobody closes the semaphore.
    pub(super) async fn free(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(free) = self.all.clone().try_acquire_owned() {
            return Some(free);
        }
        if say(&self.full).is_some() {
            let connections = self.connections;
            tracing::warn!(connections, "all connections there may be are open; more clients have to wait");
        }
        self.all.clone().acquire_owned().await.ok()
    }

    /// The place for a connection from `address`; none, where that has as many as it may.
    pub(super) fn seat(&self, free: Option<OwnedSemaphorePermit>, address: IpAddr) -> Option<Place> {
        // a proxy's are those of all who are behind it
        let is_proxy = self.trusted_proxies.contains(&address.to_canonical());
        let network = (!is_proxy).then(|| peer_network(address));
        if let Some(network) = network {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let count = held.entry(network).or_default();
            if *count >= self.per_address {
                drop(held);
                if let Some(connections) = say(&self.closed) {
                    tracing::warn!(
                        %address, connections, limit = self.per_address,
                        "connections were closed at once: their address has as many as it may (a proxy of yours belongs into trusted_proxies)"
                    );
                }
                return None;
            }
            *count = count.saturating_add(1);
        }
        Some(Place { _one: free, address: network, held: self.held.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&address);
            }
        }
    }
}

/// Whether to say it now, and for how many times that is.
fn say(said: &Mutex<Said>) -> Option<u64> {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.since = said.since.saturating_add(1);
    if said.at.is_some_and(|at| at.elapsed() < SAY_EVERY) {
        return None;
    }
    said.at = Some(Instant::now());
    Some(std::mem::take(&mut said.since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, per_address: usize) -> Places {
        Places::new(&Limits {
            connections,
            per_address,
            trusted_proxies: vec![[10, 0, 0, 1].into()],
            head_timeout: SAY_EVERY,
            keep_alive: SAY_EVERY,
            idle_timeout: SAY_EVERY,
        })
    }

    async fn take(places: &Places, address: &str) -> Option<Place> {
        let free = places.free().await;
        places.seat(free, address.parse().unwrap())
    }

    #[tokio::test]
    async fn an_address_has_so_many_places_and_whoever_else_has_its_own() {
        let places = places(100, 2);
        let mut held =
            vec![take(&places, "192.0.2.1").await.unwrap(), take(&places, "192.0.2.1").await.unwrap()];
        assert!(take(&places, "192.0.2.1").await.is_none());
        // the same address as IPv6 writes it, and the same network
        assert!(take(&places, "::ffff:192.0.2.1").await.is_none());
        held.push(take(&places, "2001:db8::1").await.unwrap());
        held.push(take(&places, "2001:db8::2").await.unwrap());
        assert!(take(&places, "2001:db8::3").await.is_none());
        for _ in 0..5 {
            held.push(take(&places, "10.0.0.1").await.expect("a trusted proxy has no such limit"));
        }
        drop(held.remove(0));
        held.push(take(&places, "192.0.2.1").await.expect("there is a place again"));
        drop(held);
        assert!(places.held.lock().unwrap().is_empty(), "nothing is remembered of those that are gone");
        assert_eq!(places.all.available_permits(), 100);
    }

    #[tokio::test]
    async fn there_are_so_many_places_for_all_even_for_a_proxy() {
        let places = places(1, 100);
        let held = take(&places, "10.0.0.1").await;
        let waiting = tokio::time::timeout(Duration::from_millis(50), places.free()).await;
        assert!(waiting.is_err(), "there is none");
        drop(held);
        assert!(take(&places, "10.0.0.1").await.is_some());
    }

    #[test]
    fn what_happens_often_is_said_once_in_a_while() {
        let said = Mutex::default();
        assert_eq!((say(&said), say(&said), say(&said)), (Some(1), None, None));
        said.lock().unwrap().at = Instant::now().checked_sub(SAY_EVERY);
        assert_eq!(say(&said), Some(3));
    }
}
