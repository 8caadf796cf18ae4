//! The funder's side: delegations are made, changed, ended and closed.

use std::time::Duration;

use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;

use super::chain::Weather;
use super::*;
use crate::chain::ChainError;

const NOW: i64 = 1_000_000;

fn key() -> Address {
    KeypairSigner::generate().public_key()
}

/// Delegates, which must be refused before anything is sent.
async fn refused(
    world: &World,
    client: &Client,
    key: &Address,
    limit: u64,
    expires_at: i64,
) -> (Rejection, ClientError) {
    let sent = world.chain.state().payers.len();
    let error =
        client.delegate(&world.service.origin, key, Amount::new(limit), expires_at).await.unwrap_err();
    assert_eq!(world.chain.state().payers.len(), sent, "nothing is sent that would be refused");
    let ClientError::DelegationRefused { reason, .. } = error else { panic!("{error}") };
    (reason, error)
}

#[tokio::test]
async fn a_delegation_is_made_raised_and_moved_and_read_back_from_the_chain() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let delegate = key();
    let set = |limit, expires_at: i64| {
        client.delegate(&world.service.origin, &delegate, Amount::new(limit), expires_at)
    };
    let made = set(500, NOW + 60).await.unwrap();
    let on_chain = world.chain.delegation(&channel, &delegate).unwrap();
    assert_eq!((made.channel, made.delegate), (channel, delegate));
    assert_eq!((made.created_slot, made.limit), (on_chain.created_slot, Amount::new(500)));
    assert_eq!((made.claimed, made.expires_at, made.revoked_at), (Amount::ZERO, Some(NOW + 60), None));
    let raised = set(800, NOW + 60).await.unwrap();
    let moved = set(800, 0).await.unwrap();
    assert_eq!(raised, DelegationRecord { limit: Amount::new(800), ..made });
    assert_eq!(moved, DelegationRecord { expires_at: None, ..raised });
    // several at a time
    let other = client.delegate(&world.service.origin, &key(), Amount::new(7), Expiry::NEVER).await.unwrap();
    let mut listed = client.delegations(&world.service.origin).await.unwrap();
    listed.sort_by_key(|found| found.limit);
    assert_eq!(listed, [other, moved]);
    // the deposit is what is at risk, and it has not grown
    assert_eq!(
        world.chain.state().done,
        ["open_channel", "set_delegate", "set_delegate", "set_delegate", "set_delegate"]
    );
    assert_eq!(client.channels().await.unwrap()[0].committed(), Amount::new(10_000));
}

#[tokio::test]
async fn what_is_on_chain_already_is_not_sent_again() {
    let world = World::new().await;
    let (client, _) = world.funded().await;
    let delegate = KeypairSigner::generate();
    let made = world.delegate(&client, &delegate, 500).await;
    assert_eq!(world.delegate(&client, &delegate, 500).await, made);
    assert_eq!(world.chain.count("set_delegate"), 1);
}

#[tokio::test]
async fn what_the_program_would_refuse_costs_no_fee() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let delegate = key();
    client.delegate(&world.service.origin, &delegate, Amount::new(500), Expiry::NEVER).await.unwrap();
    let signer = world.funder.public_key();
    for (key, limit, expires_at, expected) in [
        (&delegate, 499, 0, Rejection::LimitLowered),
        (&delegate, 500, NOW, Rejection::ExpiryInPast),
        (&delegate, 0, 0, Rejection::ZeroAmount),
        (&Address::from([8; 32]), 0, 0, Rejection::ZeroAmount),
        (&Address::from([8; 32]), 1, NOW - 1, Rejection::ExpiryInPast),
        (&signer, 1, 0, Rejection::DelegateIsAuthorizedSigner),
    ] {
        assert_eq!(refused(&world, &client, key, limit, expires_at).await.0, expected);
    }
    client.revoke_delegate(&world.service.origin, &delegate).await.unwrap();
    let (reason, error) = refused(&world, &client, &delegate, 600, 0).await;
    assert_eq!(reason, Rejection::DelegateRevoked);
    assert!(error.to_string().contains("another key"), "{error}");
    world.chain.edit(&channel, |account| account.chain_depth = 1);
    assert_eq!(refused(&world, &client, &key(), 600, 0).await.0, Rejection::ChainedChannel);
    world.chain.edit(&channel, |account| (account.closing_at, account.books.closing) = (NOW, true));
    assert_eq!(refused(&world, &client, &key(), 600, 0).await.0, Rejection::Closing);
}

#[tokio::test]
async fn without_an_open_channel_nothing_is_delegated_and_none_is_opened() {
    let world = World::new().await;
    let client = world.client().await;
    let key = key();
    let delegate = || client.delegate(&world.service.origin, &key, Amount::new(1), Expiry::NEVER);
    assert!(matches!(delegate().await, Err(ClientError::NoChannel { .. })));
    client.prepare(&world.url("/paid")).await.unwrap();
    client.close(&world.service.origin).await.unwrap();
    assert!(matches!(delegate().await, Err(ClientError::NoChannel { .. })));
    assert_eq!(world.chain.count("set_delegate") + world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn a_revoked_delegation_says_so_and_is_not_revoked_again() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let delegate = KeypairSigner::generate();
    world.delegate(&client, &delegate, 500).await;
    let revoke = || async { client.revoke_delegate(&world.service.origin, &delegate.public_key()).await };
    assert_eq!(revoke().await.unwrap().revoked_at, Some(NOW));
    let again = revoke().await.unwrap_err();
    assert!(
        matches!(again, ClientError::DelegationRefused { reason: Rejection::AlreadyRevoked, .. }),
        "{again}"
    );
    let unknown = client.revoke_delegate(&world.service.origin, &key()).await.unwrap_err();
    assert!(matches!(unknown, ClientError::NoDelegation { channel: of, .. } if of == channel), "{unknown}");
    assert_eq!(world.chain.count("revoke_delegate"), 1);
}

#[tokio::test]
async fn a_change_whose_confirmation_got_lost_is_found_on_chain() {
    let world = World::new().await;
    let (client, _) = world.funded().await;
    let delegate = KeypairSigner::generate();
    world.chain.state().weather = Some(Weather::Unheard);
    assert_eq!(world.delegate(&client, &delegate, 500).await.limit, Amount::new(500));
    world.chain.state().weather = Some(Weather::Unheard);
    let revoked = client.revoke_delegate(&world.service.origin, &delegate.public_key()).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(NOW));
}

#[tokio::test]
async fn a_change_that_was_never_seen_can_be_made_again() {
    let world = World::new().await;
    let (client, _) = world.funded().await;
    let delegate = KeypairSigner::generate();
    for weather in [Weather::Dropped, Weather::Late] {
        world.chain.state().weather = Some(weather);
        let key = delegate.public_key();
        let set = client.delegate(&world.service.origin, &key, Amount::new(500), Expiry::NEVER);
        let unheard = set.await.unwrap_err();
        assert!(matches!(unheard, ClientError::Chain(ChainError::Unconfirmed { .. })), "{unheard}");
    }
    world.chain.land();
    world.delegate(&client, &delegate, 500).await;
    assert_eq!(world.chain.count("set_delegate"), 1, "the late one had done it");
}

#[tokio::test]
async fn a_node_that_lags_does_not_hide_a_change() {
    let world = World::new().await;
    let (client, _) = world.funded().await;
    let delegate = KeypairSigner::generate();
    let set = world.delegate(&client, &delegate, 500);
    let lag = async {
        while world.chain.count("set_delegate") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.chain.state().lagging = 1;
    };
    let (made, ()) = tokio::join!(set, lag);
    assert_eq!(made.limit, Amount::new(500));
}

#[tokio::test]
async fn a_delegation_is_closed_once_its_grace_is_over_and_not_before() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let delegate = KeypairSigner::generate();
    let key = delegate.public_key();
    world.delegate(&client, &delegate, 500).await;
    let close = || client.close_delegation(&channel, &key);
    let never = close().await.unwrap_err();
    assert!(matches!(never, ClientError::DelegationNotOver { closable_from: None, .. }), "{never}");
    client.revoke_delegate(&world.service.origin, &key).await.unwrap();
    let early = close().await.unwrap_err();
    // revoked at NOW, a grace of 60 s, whose last second still counts
    assert!(
        matches!(early, ClientError::DelegationNotOver { closable_from: Some(from), .. } if from == NOW + 61)
    );
    assert!(early.to_string().contains("1000061"), "{early}");
    world.chain.state().time = NOW + 60;
    assert!(matches!(close().await, Err(ClientError::DelegationNotOver { .. })));
    world.chain.state().time = NOW + 61;
    close().await.unwrap();
    assert_eq!(world.chain.delegation(&channel, &key), None);
    assert!(matches!(close().await, Err(ClientError::NoDelegation { .. })));
    // and the key can be delegated to again
    assert_eq!(world.delegate(&client, &delegate, 100).await.limit, Amount::new(100));
}

#[tokio::test]
async fn an_expired_delegation_is_closed_by_anyone_and_in_a_later_slot() {
    let world = World::new().await;
    let (client, channel) = world.funded().await;
    let delegate = key();
    let made = client.delegate(&world.service.origin, &delegate, Amount::new(5), NOW + 10).await.unwrap();
    assert_eq!(made.expires_at, Some(NOW + 10));
    world.chain.state().time = NOW + 71;
    world.chain.state().slot = made.created_slot;
    let stranger = KeypairSigner::generate();
    let other = world.builder().funder(stranger.clone()).store(world.folder.path().join("other.db"));
    other.build().await.unwrap().close_delegation(&channel, &delegate).await.unwrap();
    assert_eq!(world.chain.delegation(&channel, &delegate), None);
    assert_eq!(world.chain.state().payers.last(), Some(&stranger.public_key()));
}

#[tokio::test]
async fn delegations_of_another_store_are_listed_where_the_node_searches() {
    let world = World::new().await;
    let (client, _) = world.funded().await;
    let delegate = KeypairSigner::generate();
    world.delegate(&client, &delegate, 500).await;
    let fresh = world.builder().store(world.folder.path().join("new.db")).build().await.unwrap();
    fresh.recover(&world.service.origin).await.unwrap();
    assert_eq!(fresh.delegations(&world.service.origin).await.unwrap(), []);
    world.chain.state().searchable = true;
    assert_eq!(fresh.delegations(&world.service.origin).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_is_a_funders_or_a_delegates_and_says_what_it_lacks() {
    let world = World::new().await;
    let key = KeypairSigner::generate();
    let bare = || Client::builder().chain(world.chain.clone()).allow_mint(MINT);
    let agent = || bare().delegate(key.clone());
    for (builder, needs) in [
        (bare(), "a `funder`"),
        (agent().funder(key.clone()), "not both"),
        (agent().rent_payer(key.clone()), "no `rent_payer`"),
        (agent().authorized_signer(key.clone()), "no `authorized_signer`"),
        (agent().deposit(Amount::new(1)), "no `deposit`"),
        (agent().close_grace(1), "`close_grace` or"),
        (agent().max_chain_depth(1), "`max_chain_depth` beside"),
        (agent().rate_limit(Amount::new(1)), "`rate_limit`"),
        (agent().settle_interval(1), "`settle_interval`"),
    ] {
        let refused = builder.build().await.err().expect("a refusal");
        assert!(
            matches!(refused, ClientError::Incomplete(_)) && refused.to_string().contains(needs),
            "{refused}"
        );
    }
}
