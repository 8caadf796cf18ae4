//! A service on a real RPC client and the real program: what it learns of closes, and from whom.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::sync::Arc;
use std::time::Duration;

use amp_embedded::EmbeddedChain;
use amp_program_tests::{DEPOSIT, OpenedChannel, TERMS, World};
use amp_protocol::code::Code;
use amp_protocol::json::CredentialBody;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Terms;
use amp_sdk::chain::{ChainError, RpcChain};
use amp_sdk::server::{AmpService, ServiceConfig, SqliteStore};
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::KeypairSigner;
use amp_test_node::Node;
use tempfile::TempDir;
use tokio::time::sleep;

const PRICE: u64 = 100;
const GRACE: u32 = 2 * 3_600;
const HOUR: Duration = Duration::from_secs(3_600);

/// A service behind a node, and its store.
struct Shop {
    node: Node,
    service: AmpService,
    _folder: TempDir,
}

impl Shop {
    /// Left to itself it looks at its channels once an hour.
    async fn open(world: &World, change: impl FnOnce(ServiceConfig) -> ServiceConfig) -> Self {
        let node = Node::start(world.chain.clone()).await;
        let recipient = KeypairSigner::from(world.recipient.insecure_clone());
        let config = ServiceConfig::new(Arc::new(recipient), world.mint.address, Amount::new(PRICE));
        let config = change(config.watch_interval(HOUR).min_close_grace(GRACE));
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("service.db")).unwrap();
        let service = AmpService::start(config, Arc::new(RpcChain::new(node.url())), store).await.unwrap();
        let shop = Self { node, service, _folder: folder };
        shop.has_subscribed(1).await;
        shop
    }

    async fn has_subscribed(&self, times: u64) {
        eventually("it has subscribed", || self.node.subscriptions() == times).await;
    }

    /// Serves a call that is paid with this seq.
    async fn serve(&self, channel: &OpenedChannel<'_>, seq: u64) {
        let credential = credential(channel, seq).await;
        let admission = self.service.authorize(&credential, Amount::new(PRICE)).await.unwrap();
        admission.charge(Amount::new(PRICE)).await.unwrap();
    }
}

async fn credential(channel: &OpenedChannel<'_>, seq: u64) -> CredentialBody {
    let signer = KeypairSigner::from(channel.signer.insecure_clone());
    sign_credential(&signer, &channel.at.channel, channel.opened_slot, Seq::new(seq)).await.unwrap()
}

/// A channel that the shop serves.
fn open(world: &World) -> OpenedChannel<'_> {
    world.open_with(0, DEPOSIT, Terms { close_grace: GRACE, ..TERMS })
}

fn earned(chain: &EmbeddedChain, channel: &OpenedChannel<'_>) -> u64 {
    chain.tokens(&channel.recipient_token).get()
}

async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..400 {
        if check() {
            return;
        }
        sleep(Duration::from_millis(25)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test]
async fn a_forced_close_is_noticed_by_subscription_and_collected_before_the_grace_ends() {
    let world = World::default();
    let channel = open(&world);
    let shop = Shop::open(&world, |config| config.channel_max_age(HOUR / 2)).await;
    for seq in 1..=3 {
        shop.serve(&channel, seq).await;
    }
    channel.request_close().unwrap();
    eventually("it is collected", || earned(&world.chain, &channel) == 3 * PRICE).await;
    // the view that was told is the one that is served by: it is not old enough to be read again
    let refused =
        shop.service.authorize(&credential(&channel, 4).await, Amount::new(PRICE)).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Closed));

    world.chain.advance_seconds(GRACE - 1);
    let early = channel.close_as(&world.stranger).unwrap_err();
    assert!(matches!(early, ChainError::Rejected(Rejection::GraceNotOver)), "{early}");
    world.chain.advance_seconds(1);
    channel.close_as(&world.stranger).unwrap();
    assert_eq!(earned(&world.chain, &channel), 3 * PRICE);
    shop.service.shutdown().await;
}

#[tokio::test]
async fn a_forced_close_while_the_node_was_away_is_collected_when_it_is_back() {
    let world = World::default();
    let channel = open(&world);
    let shop = Shop::open(&world, |config| config).await;
    shop.serve(&channel, 1).await;
    shop.node.be_away(true);
    channel.request_close().unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(earned(&world.chain, &channel), 0);
    shop.node.be_away(false);
    eventually("it is collected", || earned(&world.chain, &channel) == PRICE).await;
    shop.has_subscribed(2).await;
    shop.service.shutdown().await;
}

#[tokio::test]
async fn a_forced_close_that_a_dropped_subscription_does_not_tell_is_found_by_the_watch() {
    let world = World::default();
    let channel = open(&world);
    let shop = Shop::open(&world, |config| config.watch_interval(Duration::from_secs(2))).await;
    shop.serve(&channel, 1).await;
    shop.node.forget_subscriptions();
    channel.request_close().unwrap();
    eventually("it is collected", || earned(&world.chain, &channel) == PRICE).await;
    assert_eq!(shop.node.subscriptions(), 1, "it was told nothing, and no error either");
    shop.service.shutdown().await;
}
