use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{ErrorBody, RouteRate, Shortage};

use super::*;
use crate::client::PolicyError;

/// A world whose tool `free` is free.
async fn world() -> World {
    let world = World::new().await;
    let free = RouteRate::per_call(Amount::ZERO);
    world.service.inner().document.pricing.tools.insert("free".to_owned(), free);
    world
}

#[tokio::test]
async fn one_transaction_and_one_question_pay_for_many_calls() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    for call in 1..=5 {
        let answer = session.call("paid").await.unwrap();
        let payment = *answer.payment().unwrap();
        assert_eq!((payment.seq.get(), payment.cost), (call * PRICE, Some(Amount::new(PRICE))));
        assert_eq!(payment.spent, Some(Amount::new(call * PRICE)));
        assert_eq!(payment.balance, Some(Amount::new(10_000 - call * PRICE)));
        assert_eq!(text(&answer.into_result().unwrap()), "paid");
    }
    assert_eq!(world.chain.state().done, ["open_channel"]);
    let inner = world.service.inner();
    assert_eq!((inner.unpaid, inner.discoveries), (0, 1));
}

#[tokio::test]
async fn a_free_tool_is_called_without_a_credential() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    let answer = session.call("free").await.unwrap();
    assert_eq!((answer.payment().copied(), text(&answer.clone().into_result().unwrap())), (None, "free"));
    assert!(world.chain.state().done.is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_know_amp_gets_nothing() {
    struct Plain;
    impl rmcp::ServerHandler for Plain {
        async fn call_tool(
            &self,
            _: CallToolRequestParams,
            context: rmcp::service::RequestContext<rmcp::RoleServer>,
        ) -> Result<rmcp::model::CallToolResponse, rmcp::ErrorData> {
            assert!(!context.meta.0.0.contains_key("amp"));
            Ok(CallToolResult::success(vec![]).into())
        }
    }
    let world = world().await;
    let client = world.client().await;
    let session = Session::begin(&client, NAME, Plain).await;
    for _ in 0..2 {
        assert_eq!(session.call("paid").await.unwrap().payment(), None);
    }
    assert!(world.chain.state().done.is_empty());
}

#[tokio::test]
async fn nothing_is_opened_for_a_price_or_a_name_outside_the_policy() {
    let world = world().await;
    let client = world.builder().max_price_per_call(Amount::new(PRICE - 1)).build().await.unwrap();
    let refused = Session::with(&client, &world.service).await.call("paid").await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Price { .. })), "{refused}");
    let client = world.builder().allow_host("news").build().await.unwrap();
    let refused = Session::with(&client, &world.service).await.call("paid").await.unwrap_err();
    assert!(matches!(refused, ClientError::Policy(PolicyError::Host { .. })), "{refused}");
    assert!(world.chain.state().done.is_empty());
    let client = world.builder().allow_host("weather").build().await.unwrap();
    assert_eq!(Session::with(&client, &world.service).await.seq().await, PRICE);
}

#[tokio::test]
async fn parallel_first_calls_open_one_channel_and_none_is_refused() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    for seq in futures::future::join_all((0..40).map(|_| session.seq())).await {
        assert!(seq > 0);
    }
    assert_eq!(world.chain.count("open_channel"), 1);
    let meter = world.service.meter();
    assert_eq!((meter.spent, meter.seen.len(), meter.highest), (40 * PRICE, 40, 40 * PRICE));
}

#[tokio::test]
async fn a_channel_that_was_not_seen_yet_is_paid_with_the_same_credential_again() {
    let world = world().await;
    let client = world.client().await;
    world.service.refuse(Code::NoChannel);
    world.service.refuse(Code::NoChannel);
    assert_eq!(Session::with(&client, &world.service).await.seq().await, PRICE);
}

#[tokio::test]
async fn a_low_balance_is_topped_up_and_the_call_sent_again() {
    let world = world().await;
    let client = world.client().await;
    let low = ErrorBody { shortage: Some(Shortage::Balance), ..ErrorBody::new(Code::Underfunded, "") };
    world.service.lie(|lies| lies.refusals.push_back(low));
    assert_eq!(Session::with(&client, &world.service).await.seq().await, PRICE);
    assert_eq!(world.chain.state().done, ["open_channel", "top_up"]);
}

#[tokio::test]
async fn a_seq_out_of_the_window_is_replaced_by_a_newer_one() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    session.seq().await;
    world.service.refuse(Code::InvalidSeq);
    assert_eq!(session.seq().await, 2 * PRICE + 1, "after a look at amp/channel");
}

#[tokio::test]
async fn a_lost_call_that_was_charged_is_caught_up_with() {
    let world = world().await;
    let client = world.builder().timeout(Duration::from_millis(500)).build().await.unwrap();
    let session = Session::with(&client, &world.service).await;
    world.service.lie(|lies| lies.stall_after = true);
    assert!(matches!(session.call("paid").await, Err(ClientError::TimedOut { .. })));
    assert_eq!(session.seq().await, 2 * PRICE);
    assert_eq!(world.service.meter().spent, 2 * PRICE);
}

#[tokio::test]
async fn a_closed_channel_that_the_chain_shows_open_is_not_opened_twice() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    session.seq().await;
    world.service.refuse(Code::Closed);
    let refused = session.call("paid").await.unwrap_err();
    assert!(matches!(refused, ClientError::ClosedByService { .. }), "{refused}");
    assert_eq!(world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn a_refusal_without_a_remedy_is_the_callers_with_its_code() {
    let world = world().await;
    let client = world.client().await;
    world.service.refuse(Code::InvalidSig);
    let refused = Session::with(&client, &world.service).await.call("paid").await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 401, .. }), "{refused}");
}

#[tokio::test]
async fn a_failure_that_was_charged_is_the_callers_and_is_booked() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    let failed = session.call("charged failure").await.unwrap_err();
    assert!(matches!(failed, ClientError::Mcp(_)), "{failed}");
    assert_eq!(client.channels().await.unwrap()[0].ledger.acknowledged, Amount::new(PRICE));
    assert_eq!(session.seq().await, 2 * PRICE);
}

#[tokio::test]
async fn an_answer_without_a_receipt_counts_as_lost() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    let answer = session.call("silent").await.unwrap();
    assert_eq!(answer.payment().unwrap().spent, None);
    assert_eq!(client.channels().await.unwrap()[0].ledger.acknowledged, Amount::ZERO);
    assert_eq!(
        session.seq().await,
        2 * PRICE,
        "what it was charged is learnt from what the next answer says"
    );
}

#[tokio::test]
async fn a_server_that_charges_more_than_agreed_gets_no_more() {
    let world = world().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    session.seq().await;
    world.service.lie(|lies| lies.spent = 1);
    assert!(matches!(session.call("paid").await, Err(ClientError::Overcharged { .. })));
    world.service.lie(|lies| lies.spent = 0);
    assert!(matches!(session.call("paid").await, Err(ClientError::Disputed { .. })));
}
