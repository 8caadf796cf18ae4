use std::sync::atomic::Ordering;
use std::time::Duration;

use amp_protocol::money::Amount;
use amp_sdk::client::{Client, ClientError, PaidSocket};
use amp_ws_tests::{CALL, DEPOSIT, Exchange};
use tokio::time::{sleep, timeout};

/// A number below `below`: a generator of its own, so that a failure can be repeated.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// A socket; what the service still sets aside for one that was dropped may hold it up.
async fn connected(agent: &Client, url: &str) -> PaidSocket {
    for _ in 0..20 {
        match agent.connect(url).await {
            Err(ClientError::Unjustified { .. } | ClientError::Refused { .. }) => {
                sleep(Duration::from_millis(100)).await;
            }
            socket => return socket.unwrap(),
        }
    }
    panic!("what was dropped never ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_an_agent_drops_at_any_moment_cost_what_was_taken() {
    let exchange = Exchange::open().await;
    let agent = exchange.builder().timeout(Duration::from_secs(10)).build().await.unwrap();
    let mut state = 11;
    for _ in 0..40 {
        let mut socket = connected(&agent, &exchange.url("/echo")).await;
        for _ in 0..random(&mut state, 10) {
            socket.send("x").await.unwrap();
        }
        let pause = Duration::from_micros(random(&mut state, 6_000));
        match random(&mut state, 3) {
            0 => sleep(pause).await,
            1 => drop(timeout(pause, socket.recv()).await),
            _ => drop(timeout(pause, socket.close()).await),
        }
    }
    // what was dropped ends by itself
    sleep(Duration::from_secs(1)).await;
    let taken = exchange.seen.taken.load(Ordering::SeqCst);
    assert!(taken > 20, "{taken}");
    assert_eq!(exchange.settled().await, taken * CALL);
    let status = agent.status(&format!("http://{}", exchange.address)).await.unwrap();
    assert_eq!(
        (status.spent, status.balance),
        (Amount::new(taken * CALL), Amount::new(DEPOSIT - taken * CALL))
    );
}
