use amp_protocol::account::ChannelAccount;

use super::delegated::{books, delegates, held};
use super::*;

const ELSEWHERE: &str = "solana:elsewhere";
const ORIGIN: &str = "https://a.example";

fn on(folder: &TempDir, network: &str) -> Store {
    Store::open(&folder.path().join("client.db"), OWNER, network, HOUR).unwrap()
}

impl Store {
    /// Makes all channels those of a release that did not record their cluster.
    pub(in crate::client) async fn forget_clusters(&self) {
        let sql = "UPDATE channels SET network = ''";
        self.database.write(move |connection| connection.execute(sql, []).map(drop)).await.unwrap();
    }
}

async fn begun(store: &Store, nonce: u64) -> ChannelRecord {
    store.begin_open(Intent { nonce, ..intent(100) }, |_| Ok(())).await.unwrap().unwrap()
}

fn networks(records: &[ChannelRecord]) -> Vec<Option<&str>> {
    records.iter().map(|record| record.network.as_deref()).collect()
}

#[tokio::test]
async fn an_opening_of_another_cluster_is_not_begun_again_as_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let (fork, store) = (on(&folder, ELSEWHERE), on(&folder, NETWORK));
    let failed = begun(&fork, 4).await;
    let own = begun(&store, 5).await;
    assert_ne!(own.id, failed.id);
    assert_eq!((own.nonce, own.network.as_deref()), (5, Some(NETWORK)));
    assert_eq!(begun(&store, 6).await.id, own.id, "one's own is");
    assert_eq!(store.current(ORIGIN).await.unwrap().unwrap().id, own.id);
    assert_eq!(fork.current(ORIGIN).await.unwrap().unwrap().id, failed.id);
}

#[tokio::test]
async fn a_channel_without_a_cluster_gets_the_one_that_it_is_begun_again_seen_or_revived_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = on(&folder, NETWORK);
    let id = begun(&store, 4).await.id;
    store.forget_clusters().await;
    assert_eq!(begun(&store, 5).await.network.as_deref(), Some(NETWORK));
    store.forget_clusters().await;
    let account: ChannelAccount = held(9, 500).account;
    let opened = store.opened(id, UnitPrice::ONE, &account).await.unwrap();
    assert_eq!((opened.id, opened.network.as_deref()), (id, Some(NETWORK)));
    store.forget_clusters().await;
    store.set_state(id, ChannelState::Closed, Amount::ZERO).await.unwrap();
    let revived = store.revive(id, false).await.unwrap();
    assert_eq!((revived.state, revived.network.as_deref()), (ChannelState::Open, Some(NETWORK)));
    // and what has one keeps it
    let revived = on(&folder, ELSEWHERE).revive(id, false).await.unwrap();
    assert_eq!(revived.network.as_deref(), Some(NETWORK));
}

#[tokio::test]
async fn two_clusters_may_have_a_channel_at_one_address_each() {
    let folder = tempfile::tempdir().unwrap();
    let (fork, store) = (on(&folder, ELSEWHERE), on(&folder, NETWORK));
    let (theirs, own) = (adopted(&fork, 100).await, adopted(&store, 100).await);
    assert_eq!(theirs.channel, own.channel);
    let all = store.all().await.unwrap();
    assert_eq!(networks(&all), [Some(NETWORK), Some(ELSEWHERE)]);
    // neither learns of what is done to the other
    let (address, slot) = (own.channel, own.opened_slot);
    fork.set_state_at(address, slot, ChannelState::Closing, Amount::ZERO).await.unwrap();
    let states: Vec<_> = store.all().await.unwrap().iter().map(|record| record.state).collect();
    assert_eq!(states, [ChannelState::Open, ChannelState::Closing]);
    let key = Address::from([8; 32]);
    for record in [&own, &theirs] {
        store.remember_delegate(record.id, key, Amount::new(500), None).await.unwrap();
    }
    fork.delegation_closed(address, key, Amount::new(30)).await.unwrap();
    assert_eq!(store.delegates(own.id).await.unwrap()[0].limit, Amount::new(500));
    assert_eq!(store.delegates(theirs.id).await.unwrap()[0].limit, Amount::new(30));
}

#[tokio::test]
async fn a_delegate_has_one_channel_to_a_service_on_each_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let store = delegates(&folder);
    let fork = Store::open(&folder.path().join("client.db"), store.owner, ELSEWHERE, HOUR).unwrap();
    let own = store.hold(held(9, 500), books(500), None).await.unwrap().unwrap();
    assert_eq!(fork.held(&held(9, 500)).await.unwrap(), None);
    let theirs = fork.hold(held(9, 500), books(500), None).await.unwrap().unwrap();
    assert_ne!(own.id, theirs.id);
    assert_eq!(store.current(ORIGIN).await.unwrap().unwrap(), own);
    assert_eq!(fork.current(ORIGIN).await.unwrap().unwrap(), theirs);
}

#[tokio::test]
async fn a_store_of_the_release_before_clusters_keeps_its_channels_its_delegates_and_its_calls_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let old = Database::open(&path, Sharing::Shared, &schema::MIGRATIONS[..3]).unwrap();
    let now = unix_millis();
    let fill = move |connection: &Connection| {
        let [recipient, mint, token_program, rent_payer, address, vault] = [5, 6, 7, 8, 9, 10].map(blob);
        let channel = format!(
            "INSERT INTO channels (id, program_id, funder, authorized_signer, delegate, created_slot, delegated_limit, \
            expires_at, origin, state, created_at, recipient, mint, token_program, rent_payer, nonce, channel, vault, \
            opened_slot, unit_price, deposited, topping_up, topping_up_at, refunded, last_signed, acknowledged, agreed) \
            VALUES (?4, ?1, ?2, ?3, ?5, ?6, ?7, 77, 'https://a.example', 1, 11, {recipient}, {mint}, {token_program}, \
            {rent_payer}, 12, {address}, {vault}, 13, 3, 1000, 500, ?8, 20, 30, 40, 90)"
        );
        let [program_id, funder, signer] = [OWNER.program_id, FUNDER, SIGNER].map(|key| key.to_bytes());
        let seconds = now / 1_000;
        connection
            .execute(&channel, params![program_id, funder, signer, 3, Vec::<u8>::new(), 0, 0, seconds])?;
        connection.execute(&channel, params![program_id, funder, signer, 5, [8_u8; 32], 14, 600, seconds])?;
        connection.execute("INSERT INTO in_flight (channel_id, price, sent_at) VALUES (3, 50, ?1)", [now])?;
        let delegate = "INSERT INTO delegates VALUES (3, ?1, 600, 15, 14)";
        connection.execute(delegate, [[8_u8; 32]])
    };
    old.write(fill).await.unwrap();
    drop(old);
    let store = on(&folder, NETWORK);
    let record = store.current(ORIGIN).await.unwrap().unwrap();
    let [recipient, mint, token_program, rent_payer, channel, vault] =
        [5, 6, 7, 8, 9, 10].map(|byte| Address::from([byte; 32]));
    let own = ChannelRecord {
        id: 3,
        origin: ORIGIN.to_owned(),
        state: ChannelState::Open,
        network: None,
        channel,
        vault,
        funder: FUNDER,
        recipient,
        mint,
        token_program,
        rent_payer,
        nonce: 12,
        opened_slot: 13,
        delegation: None,
        refunded: Amount::new(20),
        topping_up: Amount::new(500),
        created_at: 11,
        ledger: Ledger {
            last_signed: Seq::new(30),
            acknowledged: Amount::new(40),
            agreed: Amount::new(90),
            ..Ledger::new(UnitPrice::new(3).unwrap(), Amount::new(1_000))
        },
    };
    assert_eq!(record, own);
    assert_eq!(store.load(3).await.unwrap().ledger.in_flight, Amount::new(50));
    let known = store.delegates(3).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(
        (known[0].key, known[0].limit, known[0].before),
        (rent_payer, Amount::new(600), Amount::new(15))
    );
    let held = delegates(&folder).current(ORIGIN).await.unwrap().unwrap();
    let delegation = HeldDelegation { delegate: rent_payer, created_slot: 14, expires_at: Some(77) };
    assert_eq!((held.id, held.delegation, held.ledger.limit), (5, Some(delegation), Some(Amount::new(600))));
    // what was not recorded is of any cluster, until it is seen on one
    assert_eq!(on(&folder, ELSEWHERE).current(ORIGIN).await.unwrap(), Some(own));
    store.reserve(3, ask(3), None, None).await.unwrap().unwrap();
}

/// 32 times this byte, in SQL.
fn blob(byte: u8) -> String {
    format!("x'{}'", format!("{byte:02x}").repeat(32))
}
