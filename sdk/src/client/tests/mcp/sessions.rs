//! Names, sessions, and the end.

use super::*;
use crate::client::CloseOutcome;
use crate::signer::KeypairSigner;

#[tokio::test]
async fn a_new_session_and_a_new_process_go_on_with_the_channel() {
    let world = World::new().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    assert_eq!(session.seq().await, PRICE);
    session.end().await;
    assert_eq!(Session::with(&client, &world.service).await.seq().await, 2 * PRICE);
    drop(client);
    let client = world.client().await;
    assert_eq!(Session::with(&client, &world.service).await.seq().await, 3 * PRICE);
    assert_eq!(world.chain.state().done, ["open_channel"]);
}

#[tokio::test]
async fn the_status_is_asked_over_the_session_and_not_without_one() {
    let world = World::new().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    session.seq().await;
    assert_eq!(client.status(NAME).await.unwrap().spent, Amount::new(PRICE));
    session.end().await;
    let unasked = client.status(NAME).await.unwrap_err();
    assert!(matches!(unasked, ClientError::NotConnected { .. }), "{unasked}");
    let unasked = client.get("mcp://weather/x").await.unwrap_err();
    assert!(matches!(unasked, ClientError::NotConnected { .. }), "{unasked}");
}

#[tokio::test]
async fn a_close_is_cooperative_over_a_session_and_a_request_without_one() {
    let world = World::new().await;
    let client = world.client().await;
    let session = Session::with(&client, &world.service).await;
    session.seq().await;
    let outcome = client.close(NAME).await.unwrap();
    let CloseOutcome::Closed { refund, payout, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((refund.get(), payout.get()), (10_000 - PRICE, PRICE));
    session.seq().await;
    session.end().await;
    let outcome = client.close(NAME).await.unwrap();
    let CloseOutcome::Requested { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(matches!(*reason, ClientError::NotConnected { .. }), "{reason}");
}

#[tokio::test]
async fn a_name_stands_for_the_recipient_of_its_channel() {
    let world = World::new().await;
    let client = world.client().await;
    Session::with(&client, &world.service).await.seq().await;
    let other = FakeService::start(world.chain.clone()).await;
    drop(client);
    let client = world.client().await;
    let refused = Session::with(&client, &other).await.call("paid").await.unwrap_err();
    assert!(matches!(refused, ClientError::RecipientChanged { .. }), "{refused}");
    let session = Session::begin(&client, "mcp://news", FakeTools(other)).await;
    assert_eq!(session.seq().await, PRICE);
}

#[tokio::test]
async fn two_names_of_one_recipient_are_paid_from_channels_of_their_own() {
    let world = World::new().await;
    let client = world.client().await;
    let [one, other] = ["mcp://one", "mcp://other"];
    let one = Session::begin(&client, one, FakeTools(world.service.clone())).await;
    let other = Session::begin(&client, other, FakeTools(world.service.clone())).await;
    assert_eq!((one.seq().await, other.seq().await, one.seq().await), (PRICE, PRICE, 2 * PRICE));
    assert_eq!(world.chain.count("open_channel"), 2);
}

#[tokio::test]
async fn a_server_with_an_address_shares_the_channel_of_its_origin() {
    let world = World::new().await;
    let client = world.client().await;
    assert_eq!(world.seq(&client).await, PRICE);
    let url = world.url("/mcp");
    let session = Session::begin(&client, &url, FakeTools(world.service.clone())).await;
    assert_eq!((session.seq().await, world.seq(&client).await), (2 * PRICE, 3 * PRICE));
    assert_eq!(world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn a_delegate_pays_a_server_by_its_name() {
    let world = World::new().await;
    let funder = world.client().await;
    let funders = Session::with(&funder, &world.service).await;
    funders.seq().await;
    let key = KeypairSigner::generate();
    let (limit, never) = (Amount::new(1_000), crate::client::Expiry::NEVER);
    let at = crate::signer::Signer::public_key(&key);
    let made = funder.delegate(NAME, &at, limit, never).await.unwrap();
    let agent = world.agent_builder(&key).build().await.unwrap();
    let session = Session::with(&agent, &world.service).await;
    agent.use_channel(NAME, made.channel).await.unwrap();
    assert_eq!((session.seq().await, session.seq().await), (PRICE, 2 * PRICE));
}
