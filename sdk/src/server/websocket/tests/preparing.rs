//! What comes before a socket is open.

use tokio::sync::oneshot;

use super::*;
use crate::server::admission::Payment;

type Prepared = Result<&'static str, String>;

/// Sockets by the second, that are open once the test says so.
async fn stage(prepared: oneshot::Receiver<Prepared>) -> (Stage, Arc<std::sync::Mutex<Option<Payment>>>) {
    let Stage { bench, service, .. } = Stage::new().await;
    let (paid, payer) = (AmpWebSocket::new(service.clone()), Arc::default());
    let told: Arc<std::sync::Mutex<Option<Payment>>> = Arc::clone(&payer);
    let prepared = Arc::new(std::sync::Mutex::new(Some(prepared)));
    let handler = move |upgrade: WebSocketUpgrade| async move {
        let prepare = move |payment| async move {
            *told.lock().unwrap() = payment;
            let prepared = prepared.lock().unwrap().take().unwrap();
            prepared.await.unwrap()
        };
        paid.on_upgrade_after(upgrade, "/ticks", prepare, |mut socket, prepared| async move {
            socket.send(prepared).await.unwrap();
            while socket.recv().await.is_some() {}
        })
    };
    (Stage::serving(bench, service, Router::new().route("/ticks", any(handler))).await, payer)
}

#[tokio::test]
async fn time_that_it_takes_to_make_a_socket_ready_is_not_paid_for() {
    let (ready, prepared) = oneshot::channel();
    let (stage, payer) = stage(prepared).await;
    let mut peer = stage.connect("/ticks").await;
    peer.bind(&stage.bench.credential(SECOND * 100).await).await;
    sleep(Duration::from_millis(3_500)).await;
    assert_eq!(payer.lock().unwrap().unwrap().channel, CHANNEL.into());
    let since = std::time::Instant::now();
    ready.send(Ok("ready")).unwrap();
    let SocketControl::Ack(_) = peer.control().await else { panic!("no ack") };
    assert!(peer.text().await.contains("ready"));
    peer.close().await;
    let cost = peer.end().await.cost();
    // the second that has begun counts, and however slow this machine is, none before
    assert!(cost <= SECOND * (since.elapsed().as_secs() + 2), "{cost}");
}

#[tokio::test]
async fn a_socket_that_can_not_be_made_ready_costs_nothing_and_says_why() {
    let (ready, prepared) = oneshot::channel();
    let (stage, _) = stage(prepared).await;
    let mut peer = stage.connect("/ticks").await;
    peer.bind(&stage.bench.credential(100).await).await;
    ready.send(Err("nobody is there".to_owned())).unwrap();
    let ended = peer.end().await;
    assert_eq!(ended.other(), "UNAVAILABLE");
    assert!(format!("{:?}", ended.error()).contains("nobody is there"));
    assert_eq!(stage.spent().await, 0);
}

#[tokio::test]
async fn a_channel_that_is_closed_meanwhile_does_not_wait_for_it() {
    let (_ready, prepared) = oneshot::channel();
    let (stage, _) = stage(prepared).await;
    let mut peer = stage.connect("/ticks").await;
    peer.bind(&stage.bench.credential(100).await).await;
    // it is bound once its request is under way
    for _ in 0..200 {
        if stage.service.core.books.of(CHANNEL).pop().is_some_and(|book| book.ledger().in_flight() > 0) {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let closed = stage.service.close(&stage.bench.credential(101).await).await.unwrap();
    assert_eq!(closed.close_statement.owed_total.get(), 0);
    assert_eq!(peer.end().await.amp().error, Code::Closed);
}
