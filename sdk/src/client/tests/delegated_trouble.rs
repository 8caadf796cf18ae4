//! What an agent does when its limit, its delegation or its channel ends, or is not what it was told.

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::json::{Base58, ErrorBody, Shortage};
use amp_protocol::money::{Amount, Seq};

use super::*;
use crate::client::{Overcharge, ProofFailure, Undelegated};

const NOW: i64 = 1_000_000;

fn reason(error: &ClientError) -> Undelegated {
    let ClientError::NotDelegated { reason, .. } = error else { panic!("{error}") };
    *reason
}

/// A funder, its channel, and an agent that has paid once.
async fn paying(world: &World, limit: u64) -> (Client, Address, Client, KeypairSigner) {
    let (funder, channel) = world.funded().await;
    let (agent, key) = world.agent(&funder, limit).await;
    world.seq(&agent).await;
    (funder, channel, agent, key)
}

#[tokio::test]
async fn a_used_up_limit_is_told_with_what_the_funder_can_do_and_a_raised_one_is_found() {
    let world = World::new().await;
    let (funder, channel, agent, key) = paying(&world, 2 * PRICE).await;
    world.seq(&agent).await;
    for _ in 0..2 {
        let refused = world.pay(&agent).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::Underfunded));
        assert!(refused.to_string().contains("funder can raise it"), "{refused}");
        let ClientError::LimitReached { channel: of, limit, needed, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!((of, limit.get(), needed.get()), (channel, 2 * PRICE, 3 * PRICE));
    }
    assert_eq!(world.service.meter().highest, 2 * PRICE, "nothing above the limit was signed");
    world.delegate(&funder, &key, 3 * PRICE).await;
    assert_eq!(world.seq(&agent).await, 3 * PRICE);
    assert!(matches!(world.pay(&agent).await, Err(ClientError::LimitReached { .. })));
}

#[tokio::test]
async fn a_deposit_that_others_used_up_is_the_funders_to_top_up() {
    let world = World::new().await;
    let (funder, _, agent, _) = paying(&world, 10_000).await;
    for _ in 0..99 {
        world.seq(&funder).await;
    }
    let refused = world.pay(&agent).await.unwrap_err();
    let ClientError::FunderMustTopUp { funder: who, deposited, .. } = refused else { panic!("{refused}") };
    assert_eq!((who, deposited.get()), (world.funder.public_key(), 10_000));
    assert_eq!(refused.code(), Some(Code::Underfunded));
    funder.top_up(&world.service.origin, Amount::new(1_000)).await.unwrap();
    // the service has it first: what is left is enough, whoever knows of it
    world.seq(&agent).await;
    assert_eq!(world.chain.count("top_up"), 1);
}

#[tokio::test]
async fn an_agent_never_signs_above_the_deposit_and_finds_a_top_up_by_itself() {
    let world = World::new().await;
    let (funder, _, agent, _) = paying(&world, 50_000).await;
    for _ in 0..99 {
        world.seq(&agent).await;
    }
    let refused = world.pay(&agent).await.unwrap_err();
    assert!(matches!(refused, ClientError::FunderMustTopUp { .. }), "{refused}");
    funder.top_up(&world.service.origin, Amount::new(1_000)).await.unwrap();
    assert_eq!(world.seq(&agent).await, 10_100);
}

#[tokio::test]
async fn a_revoked_agent_is_told_so_and_sends_nothing_more() {
    let world = World::new().await;
    let (funder, channel, agent, key) = paying(&world, 1_000).await;
    funder.revoke_delegate(&world.service.origin, &key.public_key()).await.unwrap();
    for _ in 0..2 {
        let refused = world.pay(&agent).await.unwrap_err();
        assert_eq!(reason(&refused), Undelegated::Revoked { at: NOW });
        assert!(refused.to_string().contains("another key"), "{refused}");
        assert_eq!(refused.code(), Some(Code::InvalidSig));
    }
    assert_eq!(world.states(&agent).await, [ChannelState::Ended]);
    let signed = agent.channels().await.unwrap()[0].ledger;
    assert_eq!(signed.last_signed, Seq::new(2 * PRICE), "signed once, when it could not know yet");
    assert_eq!((signed.agreed, signed.in_flight), (Amount::new(PRICE), Amount::ZERO));
    // after a restart it knows, and names it for a client that asks
    drop(agent);
    let agent = world.agent_builder(&key).build().await.unwrap();
    assert_eq!(reason(&world.pay(&agent).await.unwrap_err()), Undelegated::Revoked { at: NOW });
    let refused = agent.use_channel(&world.service.origin, channel).await.unwrap_err();
    assert_eq!(reason(&refused), Undelegated::Revoked { at: NOW });
}

#[tokio::test]
async fn an_expired_delegation_is_told_and_goes_on_with_its_books_once_it_has_a_later_expiry() {
    let world = World::new().await;
    let (funder, _, agent, key) = paying(&world, 1_000).await;
    let expire = |at: i64| {
        let (funder, key) = (funder.clone(), key.public_key());
        let origin = world.service.origin.clone();
        async move { funder.delegate(&origin, &key, Amount::new(1_000), at).await.unwrap() }
    };
    expire(NOW + 60).await;
    world.chain.state().time = NOW + 59;
    world.seq(&agent).await;
    world.chain.state().time = NOW + 60;
    let refused = world.pay(&agent).await.unwrap_err();
    assert_eq!(reason(&refused), Undelegated::Expired { at: NOW + 60 });
    assert!(refused.to_string().contains("later expiry"), "{refused}");
    expire(NOW + 120).await;
    let seq = world.seq(&agent).await;
    assert_eq!(world.service.meter().spent, 3 * PRICE);
    assert!((3 * PRICE..=3 * PRICE + 1).contains(&seq), "{seq}");
    assert_eq!(world.states(&agent).await, [ChannelState::Open]);
}

#[tokio::test]
async fn a_delegation_made_anew_gets_books_of_its_own() {
    let world = World::new().await;
    let (funder, channel, agent, key) = paying(&world, 1_000).await;
    world.seq(&agent).await;
    funder.revoke_delegate(&world.service.origin, &key.public_key()).await.unwrap();
    world.chain.state().time = NOW + 61;
    funder.close_delegation(&channel, &key.public_key()).await.unwrap();
    let old = agent.channels().await.unwrap()[0].epoch();
    let made = world.delegate(&funder, &key, 300).await;
    assert_ne!(made.created_slot, old);
    // the first call is signed for the old one, which the service does not honour: then it looks
    assert_eq!(world.seq(&agent).await, PRICE);
    let records = agent.channels().await.unwrap();
    assert_eq!(records.iter().map(|record| record.epoch()).collect::<Vec<_>>(), [made.created_slot, old]);
    assert_eq!(world.states(&agent).await, [ChannelState::Open, ChannelState::Replaced]);
    assert_eq!(records[0].ledger.limit, Some(Amount::new(300)));
    // the old one's last call was refused: nothing of it is agreed to
    assert_eq!(records[1].ledger.agreed, Amount::new(2 * PRICE));
    assert_eq!(world.seq(&agent).await, 2 * PRICE);
}

#[tokio::test]
async fn another_process_follows_when_one_has_found_the_delegation_made_anew() {
    let world = World::new().await;
    let (_, channel, agent, key) = paying(&world, 1_000).await;
    let other = world.agent_builder(&key).build().await.unwrap();
    world.seq(&other).await;
    world.chain.edit_delegation(&channel, &key.public_key(), |account| account.created_slot = 77);
    assert_eq!(world.seq(&agent).await, PRICE);
    assert_eq!(world.seq(&other).await, 2 * PRICE);
    assert_eq!(world.states(&other).await, [ChannelState::Open, ChannelState::Replaced]);
}

#[tokio::test]
async fn of_two_named_channels_the_later_pays_and_the_earlier_keeps_its_books() {
    let world = World::new().await;
    let (_, first, agent, key) = paying(&world, 1_000).await;
    let rich = KeypairSigner::generate();
    world.chain.give(&rich.public_key(), 50_000);
    let other =
        world.builder().funder(rich).store(world.folder.path().join("rich.db")).build().await.unwrap();
    let second = other.prepare(&world.url("/paid")).await.unwrap().channel;
    world.delegate(&other, &key, 1_000).await;
    agent.use_channel(&world.service.origin, second).await.unwrap();
    let paid = |agent: &Client| {
        let (agent, url) = (agent.clone(), world.url("/paid"));
        async move { *agent.get(&url).await.unwrap().payment().unwrap() }
    };
    let payment = paid(&agent).await;
    assert_eq!((payment.channel, payment.seq.get()), (second, PRICE));
    agent.use_channel(&world.service.origin, first).await.unwrap();
    let payment = paid(&agent).await;
    assert_eq!((payment.channel, payment.seq.get()), (first, 2 * PRICE));
    // the one that is named stays named after a restart
    drop(agent);
    let agent = world.agent_builder(&key).build().await.unwrap();
    assert_eq!(paid(&agent).await.channel, first);
}

#[tokio::test]
async fn a_channel_that_is_not_for_this_service_is_not_used() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    world.delegate(&funder, &key, 1_000).await;
    let named = world.agent_builder(&key).build().await.unwrap();
    for (field, change) in [
        ("recipient", (|account| account.recipient = [9; 32]) as fn(&mut ChannelAccount)),
        ("mint", |account| account.mint = [9; 32]),
    ] {
        let before = world.chain.channel(&channel).unwrap();
        world.chain.edit(&channel, change);
        let refused = named.use_channel(&world.service.origin, channel).await.unwrap_err();
        assert!(
            matches!(&refused, ClientError::WrongChannel { field: found, .. } if *found == field),
            "{refused}"
        );
        world.chain.edit(&channel, |account| *account = before);
    }
    let stranger = world.agent_builder(&KeypairSigner::generate()).build().await.unwrap();
    let refused = stranger.use_channel(&world.service.origin, channel).await.unwrap_err();
    assert_eq!(reason(&refused), Undelegated::Missing);
    let nowhere = Address::from([9; 32]);
    let refused = named.use_channel(&world.service.origin, nowhere).await.unwrap_err();
    assert_eq!(reason(&refused), Undelegated::NoChannel);
    world.chain.edit(&channel, |account| account.opened_slot += 1);
    let refused = named.use_channel(&world.service.origin, channel).await.unwrap_err();
    assert_eq!(reason(&refused), Undelegated::EarlierChannel);
    assert_eq!(world.states(&named).await, []);
    assert_eq!(world.service.inner().meters.len(), 0);
}

#[tokio::test]
async fn a_node_of_another_cluster_says_nothing_of_a_delegation() {
    let world = World::new().await;
    let (_, channel, agent, _) = paying(&world, 1_000).await;
    world.chain.state().elsewhere = true;
    let refused = agent.use_channel(&world.service.origin, channel).await.unwrap_err();
    assert!(matches!(refused, ClientError::NoProgram { .. }), "{refused}");
    world.chain.state().elsewhere = false;
    world.seq(&agent).await;
}

#[tokio::test]
async fn a_closing_a_closed_and_an_abandoned_channel_are_told_apart() {
    let world = World::new().await;
    let (_, channel, agent, _) = paying(&world, 1_000).await;
    world.service.refuse(Code::Closed);
    let refused = world.pay(&agent).await.unwrap_err();
    assert_eq!((reason(&refused), refused.code()), (Undelegated::NotServed, Some(Code::Closed)));
    world.chain.edit(&channel, |account| (account.closing_at, account.books.closing) = (NOW, true));
    let refused = world.pay(&agent).await.unwrap_err();
    assert_eq!((reason(&refused), refused.code()), (Undelegated::Closing, Some(Code::Closed)));
    world.chain.remove(&channel);
    let refused = world.pay(&agent).await.unwrap_err();
    assert_eq!((reason(&refused), refused.code()), (Undelegated::NoChannel, Some(Code::NoChannel)));
    assert_eq!(world.chain.count("open_channel"), 1, "and it opens none");
}

#[tokio::test]
async fn a_service_and_a_node_that_see_the_delegation_later_are_waited_for() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    world.delegate(&funder, &key, 1_000).await;
    let agent = world.agent_builder(&key).build().await.unwrap();
    world.chain.state().lagging = 2;
    world.service.lie(|lies| lies.blind = 2);
    agent.use_channel(&world.service.origin, channel).await.unwrap();
    world.seq(&agent).await;
}

#[tokio::test]
async fn a_limit_that_the_service_sees_raised_later_is_waited_for() {
    let world = World::new().await;
    let (_, _, agent, _) = paying(&world, 1_000).await;
    let low = || ErrorBody {
        shortage: Some(Shortage::DelegateLimit),
        ..ErrorBody::new(Code::Underfunded, "the limit is used up; ask the funder")
    };
    world.service.lie(|lies| lies.refusals.extend([low(), low(), low()]));
    world.seq(&agent).await;
    assert!(world.service.inner().lies.refusals.is_empty());
}

#[tokio::test]
async fn a_lost_call_that_used_the_limit_up_is_found_by_the_services_proof() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    // a base unit more than two calls: after a lost one, the next seq is still within it
    world.delegate(&funder, &key, 2 * PRICE + 1).await;
    let hasty = world.agent_builder(&key).timeout(Duration::from_millis(300)).build().await.unwrap();
    hasty.use_channel(&world.service.origin, channel).await.unwrap();
    world.seq(&hasty).await;
    world.service.lie(|lies| lies.stall_after = true);
    assert!(matches!(world.pay(&hasty).await, Err(ClientError::TimedOut { .. })));
    let refused = world.pay(&hasty).await.unwrap_err();
    assert!(matches!(refused, ClientError::LimitReached { .. }), "{refused}");
    assert_eq!(world.service.meter().spent, 2 * PRICE);
    assert_eq!(hasty.channels().await.unwrap()[0].ledger.acknowledged, Amount::new(2 * PRICE));
}

#[tokio::test]
async fn a_fresh_agent_is_told_of_no_seq_that_it_did_not_sign() {
    let world = World::new().await;
    let (funder, channel) = world.funded().await;
    let key = KeypairSigner::generate();
    world.delegate(&funder, &key, 10_000).await;
    let agent = world.agent_builder(&key).build().await.unwrap();
    world.service.lie(|lies| (lies.last_seq, lies.owed) = (9_999, 9_999));
    let error = agent.use_channel(&world.service.origin, channel).await.unwrap_err();
    assert!(matches!(error, ClientError::UnknownSeq { ours: Seq::ZERO, .. }), "{error}");
}

#[tokio::test]
async fn an_agent_that_lost_its_store_signs_no_blank_cheque() {
    const PAID: Seq = Seq::new(PRICE);
    let world = World::new().await;
    let (_, channel, _, key) = paying(&world, 10_000).await;
    let fresh = || {
        let careful = world.agent_builder(&key).max_price_per_call(Amount::new(PRICE));
        careful.in_flight_limit(2).store(world.folder.path().join("new.db")).build()
    };
    let agent = fresh().await.unwrap();
    let refused = |lie: fn(&mut service::Lies)| {
        world.service.lie(lie);
        agent.use_channel(&world.service.origin, channel)
    };
    // one more than was signed, charged for or not, by the key's own signature of another seq
    for lie in [
        |lies: &mut service::Lies| lies.last_seq = 1,
        |lies: &mut service::Lies| (lies.last_seq, lies.owed) = (9_000, 9_000),
        |lies: &mut service::Lies| (lies.last_seq, lies.owed) = (0, 1),
    ] {
        let error = refused(lie).await.unwrap_err();
        assert!(matches!(error, ClientError::UnknownSeq { ours: Seq::ZERO | PAID, .. }), "{error}");
    }
    let error = refused(|lies| (lies.owed, lies.other_key) = (0, Some(KeypairSigner::generate()))).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ClientError::BadProof { reason: ProofFailure::Signature, .. }), "{error}");
    assert_eq!(world.states(&agent).await, []);
    // what it says without signing it is not acknowledged: as if those calls had been lost
    world.service.lie(|lies| (lies.other_key, lies.no_proof) = (None, true));
    let record = agent.use_channel(&world.service.origin, channel).await.unwrap();
    assert_eq!((record.ledger.acknowledged, record.ledger.agreed), (Amount::ZERO, Amount::new(PRICE)));
    assert_eq!(record.ledger.last_signed, Seq::new(PRICE));
}

#[tokio::test]
async fn what_the_chain_has_paid_a_delegate_that_lost_its_store_does_not_sign_again() {
    let world = World::new().await;
    let (_, channel, agent, key) = paying(&world, 1_000).await;
    world.seq(&agent).await;
    world.chain.settle_delegate(&channel, &key.public_key(), 2 * PRICE);
    // a service that lost its state too, and knows from the chain what was charged and by no credential
    for meter in world.service.inner().meters.values_mut() {
        *meter = service::Meter { spent: meter.spent, ..Default::default() };
    }
    let fresh = world.agent_builder(&key).store(world.folder.path().join("new.db")).build().await.unwrap();
    let record = fresh.use_channel(&world.service.origin, channel).await.unwrap();
    assert_eq!(record.ledger.acknowledged, Amount::new(2 * PRICE));
    // no overcharge: a credential that covers it was verified on chain
    fresh.status(&world.service.origin).await.unwrap();
    assert_eq!(world.seq(&fresh).await, 3 * PRICE);
}

#[tokio::test]
async fn a_delegates_metering_proof_is_checked_for_its_key_epoch_and_amount() {
    let world = World::new().await;
    let (funder, _, agent, _) = paying(&world, 1_000).await;
    world.seq(&funder).await;
    let status = agent.status(&world.service.origin).await.unwrap();
    let proof = status.metering_proof.unwrap();
    let record = agent.channels().await.unwrap().remove(0);
    let signer = record.delegation.unwrap().delegate;
    assert_eq!((proof.signer, proof.epoch), (Base58(signer.to_bytes()), record.epoch()));
    world.service.lie(|lies| lies.other_channel = Some([7; 32]));
    let bad = agent.status(&world.service.origin).await.unwrap_err();
    assert!(matches!(bad, ClientError::BadProof { reason: ProofFailure::About(_), .. }), "{bad}");
    world.service.lie(|lies| (lies.other_channel, lies.owed) = (None, 1));
    let bad = agent.status(&world.service.origin).await.unwrap_err();
    assert!(matches!(bad, ClientError::Overcharged { overcharge: Overcharge::Unsigned { .. }, .. }), "{bad}");
    // nothing more is paid on this delegation, and naming the channel again does not help
    for _ in 0..2 {
        assert!(matches!(world.pay(&agent).await, Err(ClientError::Disputed { .. })));
        let named = agent.use_channel(&world.service.origin, record.channel).await;
        assert!(matches!(named, Err(ClientError::Disputed { .. })), "{named:?}");
    }
}
