use std::time::{Duration, Instant};

use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_sdk::client::{ClientError, CloseOutcome, Message, PaidSocket, PolicyError};
use amp_ws_tests::{BYTE, CALL, DEPOSIT, Exchange, SECOND, UNIT};

async fn echoed(socket: &mut PaidSocket, message: impl Into<Message>) {
    let message = message.into();
    socket.send(message.clone()).await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), Some(message));
}

#[tokio::test]
async fn by_the_call_an_agent_signs_for_each_message_and_for_no_more() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let mut socket = agent.connect(&exchange.url("/echo")).await.unwrap();
    for n in 0..50 {
        echoed(&mut socket, format!("message {n}")).await;
        echoed(&mut socket, vec![0xff; n]).await;
    }
    let ledger = agent.channels().await.unwrap()[0].ledger;
    assert_eq!(ledger.signed_for().get(), 100 * CALL);
    let receipt = socket.close().await.unwrap().unwrap();
    assert_eq!(
        (receipt.cost.get(), receipt.spent.get(), receipt.balance.get()),
        (1_000, 1_000, DEPOSIT - 1_000)
    );
    let ledger = agent.channels().await.unwrap()[0].ledger;
    assert_eq!((ledger.acknowledged.get(), ledger.agreed.get(), ledger.in_flight.get()), (1_000, 1_000, 0));
    assert_eq!(exchange.settled().await, 1_000);
}

#[tokio::test]
async fn by_the_byte_what_is_signed_for_grows_with_what_comes() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let mut socket = agent.connect(&exchange.url("/bytes")).await.unwrap();
    let mut bytes = 0;
    for n in 0..60_u64 {
        let message = vec![7; usize::try_from(n * 13).unwrap()];
        echoed(&mut socket, message).await;
        bytes += 2 * n * 13;
    }
    let receipt = socket.close().await.unwrap().unwrap();
    assert_eq!(Some(receipt.cost), BYTE.cost(bytes));
    assert_eq!(exchange.settled().await, receipt.cost.get());
}

#[tokio::test]
async fn by_the_second_an_agent_pays_for_as_long_as_it_listens() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let mut socket = agent.connect(&exchange.url("/ticks")).await.unwrap();
    let begun = Instant::now();
    // longer than what is signed for at first
    while begun.elapsed() < Duration::from_millis(6_400) {
        assert_eq!(socket.recv().await.unwrap(), Some(Message::text("tick")));
    }
    let receipt = socket.close().await.unwrap().unwrap();
    assert_eq!(receipt.cost.get(), 7 * SECOND);
    assert_eq!(exchange.settled().await, 7 * SECOND);
}

#[tokio::test]
async fn by_the_unit_an_agent_signs_when_the_service_asks() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let mut socket = agent.connect(&exchange.url("/work")).await.unwrap();
    for units in [1, 100, 3, 2_000] {
        socket.send(units.to_string()).await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Some(Message::text(format!("{units} done"))));
    }
    let receipt = socket.close().await.unwrap().unwrap();
    assert_eq!((receipt.cost.get(), exchange.settled().await), (2_104 * UNIT, 2_104 * UNIT));
}

#[tokio::test]
async fn a_free_socket_needs_no_channel() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let mut socket = agent.connect(&exchange.url("/free")).await.unwrap();
    echoed(&mut socket, "free").await;
    assert_eq!(socket.payment(), None);
    assert_eq!(socket.close().await.unwrap(), None);
    assert!(agent.channels().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_agent_stops_at_its_budget_and_what_was_delivered_is_paid() {
    let exchange = Exchange::open().await;
    let agent = exchange.builder().metered_budget(Amount::new(200)).build().await.unwrap();
    let mut socket = agent.connect(&exchange.url("/work")).await.unwrap();
    socket.send("90").await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text("90 done")));
    socket.send("11").await.unwrap();
    let error = socket.recv().await.unwrap_err();
    assert!(matches!(error, ClientError::Policy(PolicyError::Price { .. })), "{error}");
    assert_eq!(exchange.settled().await, 180);
    let ledger = agent.channels().await.unwrap()[0].ledger;
    assert_eq!((ledger.acknowledged.get(), ledger.in_flight.get()), (180, 0));
}

#[tokio::test]
async fn a_message_that_costs_more_than_a_call_may_is_not_signed_for() {
    let exchange = Exchange::open().await;
    let agent = exchange.builder().max_price_per_call(Amount::new(CALL - 1)).build().await.unwrap();
    let error = agent.connect(&exchange.url("/echo")).await.unwrap_err();
    assert!(matches!(error, ClientError::Policy(PolicyError::Price { .. })), "{error}");
    assert!(agent.channels().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_socket_goes_on_over_a_top_up() {
    let exchange = Exchange::open().await;
    let agent = exchange.builder().deposit(Amount::new(300)).build().await.unwrap();
    let mut socket = agent.connect(&exchange.url("/echo")).await.unwrap();
    for n in 0..70 {
        echoed(&mut socket, format!("{n}")).await;
    }
    assert_eq!(socket.close().await.unwrap().unwrap().cost.get(), 70 * CALL);
    assert_eq!(exchange.settled().await, 70 * CALL);
}

#[tokio::test]
async fn calls_by_http_and_sockets_share_a_channel() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let mut socket = agent.connect(&exchange.url("/echo")).await.unwrap();
    let http = format!("http://{}/anything", exchange.address);
    for n in 1..=10_u64 {
        echoed(&mut socket, "x").await;
        let answer = agent.get(&http).await.unwrap();
        assert_eq!(answer.payment().unwrap().cost, Some(Amount::new(CALL)), "{n}");
    }
    assert_eq!(socket.close().await.unwrap().unwrap().cost.get(), 10 * CALL);
    assert_eq!(agent.channels().await.unwrap().len(), 1);
    assert_eq!(exchange.settled().await, 20 * CALL);
}

#[tokio::test]
async fn a_close_of_the_channel_ends_the_socket_and_pays_what_it_cost() {
    let exchange = Exchange::open().await;
    let agent = exchange.agent().await;
    let mut socket = agent.connect(&exchange.url("/echo")).await.unwrap();
    echoed(&mut socket, "one").await;
    // not in the slot that it was opened in
    exchange.chain.advance_seconds(1);
    let closed = agent.close(&format!("http://{}", exchange.address)).await;
    let error = socket.recv().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Closed), "{error}");
    assert!(matches!(closed.unwrap(), CloseOutcome::Closed { .. }));
    assert_eq!(
        exchange
            .chain
            .tokens(&exchange.mint.account_of(&amp_sdk::signer::Signer::public_key(&exchange.recipient)))
            .get(),
        CALL
    );
}
