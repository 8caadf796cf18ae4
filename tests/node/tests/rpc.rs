//! The SDK's RPC client sees through a node what the embedded chain says itself.
#![allow(clippy::unwrap_used)]

use amp_program_tests::World;
use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::instructions;
use amp_sdk::chain::{Chain, ChainError, ComputeBudget, PROGRAM_ID, Plan, PriorityFee, RpcChain};
use amp_sdk::signer::{KeypairSigner, Signer as _};
use amp_test_node::Node;
use futures::StreamExt as _;
use solana_address::Address;
use solana_signer::Signer as _;

#[tokio::test]
async fn accounts_searches_and_the_clock_are_the_chains() {
    let world = World::default();
    let channel = world.open();
    let delegated = channel.delegate();
    delegated.set(1_000, 0).unwrap();
    let node = Node::start(world.chain.clone()).await;
    let rpc = RpcChain::new(node.url());
    let (address, funder) = (channel.at.channel, world.funder.pubkey());

    assert_eq!(rpc.account(&address).await.unwrap(), world.chain.account(&address).await.unwrap());
    assert_eq!(rpc.account(&[9; 32].into()).await.unwrap(), None);
    // more than a node gives at once, and one that is not there
    let many: Vec<_> = (0..150).map(|at| if at == 120 { [9; 32].into() } else { address }).collect();
    let before = node.requests();
    let accounts = rpc.accounts(&many).await.unwrap();
    assert_eq!((accounts, node.requests() - before), (world.chain.accounts(&many).await.unwrap(), 2));
    let found = rpc.delegations(&PROGRAM_ID, &address).await.unwrap();
    assert_eq!(found, world.chain.delegations(&PROGRAM_ID, &address).await.unwrap());
    assert_eq!(found.len(), 1);
    let found = rpc.channels_funded_by(&PROGRAM_ID, &funder).await.unwrap();
    assert_eq!(found, world.chain.channels_funded_by(&PROGRAM_ID, &funder).await.unwrap());
    assert_eq!(found.len(), 1);
    let recipient = Address::from(ChannelAccount::decode(&found[0].1.data).unwrap().recipient);
    let paid = rpc.channels_paid_to(&PROGRAM_ID, &recipient).await.unwrap();
    assert_eq!(paid, world.chain.channels_paid_to(&PROGRAM_ID, &recipient).await.unwrap());
    assert_eq!(paid, found);
    assert!(rpc.channels_paid_to(&PROGRAM_ID, &funder).await.unwrap().is_empty());
    let delegations = rpc.delegations(&PROGRAM_ID, &address).await.unwrap();
    let delegate = Address::from(DelegationAccount::decode(&delegations[0].1.data).unwrap().delegate);
    let delegated = rpc.delegations_to(&PROGRAM_ID, &delegate).await.unwrap();
    assert_eq!(delegated, world.chain.delegations_to(&PROGRAM_ID, &delegate).await.unwrap());
    assert_eq!(delegated, delegations);
    assert!(rpc.delegations_to(&PROGRAM_ID, &address).await.unwrap().is_empty());
    assert!(rpc.delegations(&PROGRAM_ID, &funder).await.unwrap().is_empty());
    assert_eq!(rpc.clock().await.unwrap(), world.chain.clock_now());
}

/// A transaction that the funder, who has lamports for it, can send.
fn close_request(world: &World, channel: &Address) -> (KeypairSigner, Plan) {
    world.chain.airdrop(&world.funder.pubkey(), 1_000_000_000).unwrap();
    let funder = KeypairSigner::from(world.funder.insecure_clone());
    let request = instructions::request_close(&PROGRAM_ID, channel, &funder.public_key());
    let budget = ComputeBudget::request_close();
    let plan = Plan::new(funder.public_key(), budget, PriorityFee::default(), vec![request]);
    (funder, plan)
}

#[tokio::test]
async fn what_is_sent_is_confirmed_or_refused_by_its_rule() {
    let world = World::default();
    let channel = world.open();
    let node = Node::start(world.chain.clone()).await;
    let rpc = RpcChain::new(node.url());
    let (funder, request) = close_request(&world, &channel.at.channel);
    let confirmed = request.send(&rpc, &[&funder]).await.unwrap();
    let executed = world.chain.executed().last().unwrap().confirmation;
    assert_eq!((confirmed.signature, confirmed.slot), (executed.signature, executed.slot));
    assert_eq!(confirmed.fee, None, "the node keeps no history");
    let refused = request.send(&rpc, &[&funder]).await.unwrap_err();
    assert!(matches!(refused, ChainError::Rejected(Rejection::AlreadyClosing)), "{refused}");
}

#[tokio::test]
async fn what_is_lost_until_its_blockhash_expires_is_told_so_and_lands_when_it_is_sent_again() {
    let world = World::default();
    let channel = world.open();
    let node = Node::start(world.chain.clone()).await;
    let rpc = RpcChain::new(node.url());
    let (funder, plan) = close_request(&world, &channel.at.channel);
    let landed = || world.chain.executed().len();
    let before = landed();

    node.lose(1);
    let expired = plan.send(&rpc, &[&funder]).await.unwrap_err();
    assert!(matches!(expired, ChainError::Expired { .. }), "{expired}");
    let again = async || plan.send_again_until_seen(&rpc, &[&funder], 3, |_| PriorityFee(0)).await;
    node.lose(3);
    let expired = again().await.unwrap_err();
    assert!(expired.is_expired() && landed() == before, "{expired}");
    node.lose(2);
    let confirmed = again().await.unwrap();
    assert_eq!(landed(), before + 1);
    assert_eq!(world.chain.executed().last().unwrap().confirmation.signature, confirmed.signature);
}

#[tokio::test]
async fn what_was_paid_lately_is_what_the_node_says() {
    let world = World::default();
    let node = Node::start(world.chain.clone()).await;
    let rpc = RpcChain::new(node.url());
    assert_eq!(rpc.recent_priority_fees(&[world.funder.pubkey()]).await.unwrap(), [0, 70]);
}

#[tokio::test]
async fn a_node_that_is_away_is_unreachable_and_answers_again() {
    let world = World::default();
    let node = Node::start(world.chain.clone()).await;
    let rpc = RpcChain::new(node.url());
    node.be_away(true);
    let error = rpc.clock().await.unwrap_err();
    assert!(matches!(error, ChainError::Unreachable(_)), "{error}");
    node.be_away(false);
    assert!(rpc.clock().await.is_ok());
    assert!(node.requests() >= 2);
}

#[tokio::test]
async fn changes_of_a_recipients_channels_are_told_as_they_happen_and_no_others() {
    let world = World::default();
    let channel = world.open();
    let node = Node::start(world.chain.clone()).await;
    let rpc = RpcChain::new(node.url());
    let subscribe = async |recipient| rpc.watch_channels(&PROGRAM_ID, &recipient).await.unwrap().unwrap();
    let mut told = subscribe(world.recipient.pubkey()).await;
    let mut others = subscribe(world.stranger.pubkey()).await;
    let mut embedded =
        world.chain.watch_channels(&PROGRAM_ID, &world.recipient.pubkey()).await.unwrap().unwrap();

    channel.top_up(100).unwrap();
    world.chain.advance_slots(1);
    channel.request_close().unwrap();
    for closing in [false, true] {
        let change = told.next().await.unwrap();
        let account = ChannelAccount::decode(&change.account.as_ref().unwrap().data).unwrap();
        assert_eq!((change.address, account.books.closing), (channel.at.channel, closing));
        assert_eq!(embedded.next().await.unwrap(), change);
    }
    let (account, slot) = rpc.account_at(&channel.at.channel).await.unwrap();
    assert_eq!((account, slot), world.chain.account_at(&channel.at.channel).await.unwrap());
    assert_eq!(slot, Some(world.chain.clock_now().slot));

    // the embedded chain tells of a close; nodes don't, as the account is not the program's any more
    world.chain.advance_slots(1);
    channel.close_by_statement(0).unwrap();
    let gone = embedded.next().await.unwrap();
    assert_eq!((gone.address, gone.account), (channel.at.channel, None));
    node.be_away(true);
    assert_eq!(told.next().await, None, "an outage ends it");
    assert_eq!(others.next().await, None);
    assert!(rpc.watch_channels(&PROGRAM_ID, &world.recipient.pubkey()).await.is_err());
    world.chain.be_polled(true);
    assert!(world.chain.watch_channels(&PROGRAM_ID, &world.recipient.pubkey()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_websocket_may_be_elsewhere() {
    let world = World::default();
    let channel = world.open();
    let (node, other) = (Node::start(world.chain.clone()).await, Node::start(world.chain.clone()).await);
    let rpc = RpcChain::with_websocket(node.url(), other.websocket_url());
    let mut told = rpc.watch_channels(&PROGRAM_ID, &world.recipient.pubkey()).await.unwrap().unwrap();
    channel.top_up(100).unwrap();
    assert_eq!(told.next().await.unwrap().address, channel.at.channel);
    assert_eq!((node.subscriptions(), other.subscriptions()), (0, 1));
}
