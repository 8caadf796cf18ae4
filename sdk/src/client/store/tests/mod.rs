use amp_protocol::money::UnitPrice;
use tempfile::TempDir;

use super::*;

mod clusters;
mod delegated;

const OWNER: Owner = Owner {
    program_id: Address::new_from_array([1; 32]),
    role: Role::Funder { funder: FUNDER, authorized_signer: SIGNER },
};
const FUNDER: Address = Address::new_from_array([2; 32]);
const SIGNER: Address = Address::new_from_array([3; 32]);
const NETWORK: &str = "solana:localnet";
const HOUR: Duration = Duration::from_secs(3_600);

fn open(folder: &TempDir, in_flight_for: Duration) -> Store {
    Store::open(&folder.path().join("client.db"), OWNER, NETWORK, in_flight_for).unwrap()
}

impl Store {
    /// Makes all openings old.
    pub(in crate::client) async fn age_openings(&self) {
        let age = "UPDATE channels SET created_at = 1";
        self.database.write(move |connection| connection.execute(age, []).map(drop)).await.unwrap();
    }
}

fn intent(deposit: u64) -> Intent {
    Intent {
        origin: "https://a.example".to_owned(),
        funder: FUNDER,
        authorized_signer: SIGNER,
        recipient: Address::from([5; 32]),
        mint: Address::from([6; 32]),
        token_program: Address::from([7; 32]),
        rent_payer: Address::from([2; 32]),
        unit_price: UnitPrice::ONE,
        deposit: Amount::new(deposit),
        nonce: u64::MAX,
    }
}

async fn adopted(store: &Store, deposit: u64) -> ChannelRecord {
    store.adopt(intent(deposit), u64::MAX - 1, Amount::ZERO, Seq::ZERO).await.unwrap()
}

fn ask(price: u64) -> Ask {
    Ask { price: Amount::new(price), ..Ask::default() }
}

#[tokio::test]
async fn numbers_above_what_sqlite_counts_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let record = adopted(&store, u64::MAX).await;
    store.reserve(record.id, ask(u64::MAX - 7), None, None).await.unwrap().unwrap();
    let read = open(&folder, HOUR).load(record.id).await.unwrap();
    assert_eq!((read.nonce, read.opened_slot), (u64::MAX, u64::MAX - 1));
    assert_eq!(read.ledger.deposited, Amount::MAX);
    assert_eq!(read.ledger.last_signed, Seq::new(u64::MAX - 7));
    assert_eq!(read.ledger.in_flight, Amount::new(u64::MAX - 7));
}

#[tokio::test]
async fn two_stores_on_one_file_never_hand_out_the_same_seq() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [open(&folder, HOUR), open(&folder, HOUR)];
    let id = adopted(&stores[0], 1_000_000).await.id;
    let reservations = (0..60).map(|call| stores[call % 2].reserve(id, ask(10), None, None));
    let mut seqs: Vec<u64> = futures::future::join_all(reservations)
        .await
        .into_iter()
        .map(|reserved| reserved.unwrap().unwrap().seq.get())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=60).map(|call| call * 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn calls_of_a_process_that_died_stop_counting_as_in_flight_but_stay_agreed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let id = adopted(&store, 1_000_000).await.id;
    store.reserve(id, ask(500), None, None).await.unwrap().unwrap();
    drop(store);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let store = open(&folder, Duration::from_millis(1));
    let reserved = store.reserve(id, ask(500), None, None).await.unwrap().unwrap();
    // not 1000: the lost call leaves one unit
    assert_eq!(reserved.seq, Seq::new(501));
    assert_eq!(store.load(id).await.unwrap().ledger.agreed, Amount::new(1_000));
}

#[tokio::test]
async fn a_dropped_call_counts_as_lost_before_the_next_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let id = adopted(&store, 1_000_000).await.id;
    let reservation = store.reserve(id, ask(500), None, None).await.unwrap().unwrap();
    store.abandon(reservation);
    assert_eq!(store.reserve(id, ask(500), None, None).await.unwrap().unwrap().seq, Seq::new(501));
}

#[tokio::test]
async fn each_message_is_agreed_to_in_full_whatever_else_was_signed_for_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let id = adopted(&store, 1_000_000).await.id;
    let lost = store.reserve(id, ask(500), None, None).await.unwrap().unwrap();
    store.abandon(lost);
    let mut messages = store.reserve(id, ask(10), None, None).await.unwrap().unwrap();
    for sent in 2..=5 {
        messages = store.reserve(id, ask(10), None, Some(messages)).await.unwrap().unwrap();
        assert_eq!((messages.price, messages.agreed), (Amount::new(10 * sent), Amount::new(10 * sent)));
    }
    store.abandon(messages);
    // the service may say at any time that it took all that was signed for
    let said = store.acknowledge(id, Amount::new(505), Amount::new(505)).await.unwrap();
    assert_eq!(said.unwrap().agreed, Amount::new(550));
}

#[tokio::test]
async fn the_steps_of_a_stream_add_nothing_to_what_was_agreed_to_for_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let id = adopted(&store, 1_000_000).await.id;
    let lost = store.reserve(id, ask(500), None, None).await.unwrap().unwrap();
    store.abandon(lost);
    let step = Ask { agreed: Some(Amount::new(100)), takes_unused: true, ..ask(10) };
    let mut stream = store.reserve(id, step, None, None).await.unwrap().unwrap();
    assert_eq!(stream.price, Amount::new(501), "what was lost may pay for it");
    for _ in 0..3 {
        stream = store.reserve(id, step, None, Some(stream)).await.unwrap().unwrap();
        assert_eq!(stream.agreed, Amount::new(100));
        assert_eq!(store.load(id).await.unwrap().ledger.agreed, Amount::new(600));
    }
}

#[tokio::test]
async fn a_stream_whose_charges_are_said_while_it_goes_on_is_signed_for_up_to_what_it_may_cost() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let id = adopted(&store, 1_000_000).await.id;
    let step = Ask { agreed: Some(Amount::new(600)), takes_unused: true, ..ask(100) };
    let mut stream = None;
    for steps in 1..=6 {
        let reserved = store.reserve(id, step, None, stream).await.unwrap().unwrap();
        assert_eq!(reserved.seq, Seq::new(100 * steps), "in another process, too");
        let charged = Amount::new(100 * steps);
        store.acknowledge(id, charged, charged).await.unwrap().unwrap();
        stream = Some(reserved);
        let ledger = store.load(id).await.unwrap().ledger;
        assert_eq!((ledger.in_flight, ledger.unsigned), (charged, Amount::new(600 - 100 * steps)));
    }
}

#[tokio::test]
async fn an_opening_is_begun_once_and_keeps_its_nonce() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let first = store.begin_open(Intent { nonce: 4, ..intent(100) }, |_| Ok(())).await.unwrap().unwrap();
    let again = open(&folder, HOUR).begin_open(Intent { nonce: 5, ..intent(200) }, |_| Ok(())).await;
    let again = again.unwrap().unwrap();
    assert_eq!((again.id, again.nonce, again.channel), (first.id, 4, first.channel));
    assert_eq!(again.ledger.deposited, Amount::new(200));
    assert_eq!(store.next_nonce(&FUNDER, &first.recipient).await.unwrap(), 5);
}

#[tokio::test]
async fn an_opening_over_budget_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let policy = super::super::Policy { total_budget: Some(Amount::new(99)), ..Default::default() };
    let check = move |committed| policy.check_budget(committed, Amount::new(100));
    assert!(store.begin_open(intent(100), check).await.unwrap().is_err());
    assert_eq!(store.all().await.unwrap(), []);
}

#[tokio::test]
async fn another_funders_channels_are_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    adopted(&open(&folder, HOUR), 100).await;
    let role = Role::Funder { funder: Address::from([9; 32]), authorized_signer: SIGNER };
    let other = Owner { role, ..OWNER };
    let store = Store::open(&folder.path().join("client.db"), other, NETWORK, HOUR).unwrap();
    assert_eq!(store.all().await.unwrap(), []);
    assert_eq!(store.current("https://a.example").await.unwrap(), None);
}

#[tokio::test]
async fn an_opening_begun_again_is_as_young_as_its_newest_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    store.begin_open(intent(100), |_| Ok(())).await.unwrap().unwrap();
    store.age_openings().await;
    let again = store.begin_open(intent(100), |_| Ok(())).await.unwrap().unwrap();
    assert!(again.created_at > 1, "or it would be dropped while that one can land");
}

/// What `begin_top_up` gave to its check: at risk in the channel, committed in all.
async fn topped_up(store: &Store, id: i64, amount: u64) -> (u64, u64) {
    let (sender, seen) = std::sync::mpsc::channel();
    let check = move |at_risk: Amount, committed: Amount| {
        sender.send((at_risk.get(), committed.get())).unwrap();
        Ok(())
    };
    store.begin_top_up(id, Amount::new(amount), check).await.unwrap().unwrap();
    seen.recv().unwrap()
}

#[tokio::test]
async fn pending_top_ups_add_up_and_shrink_by_what_lands() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [open(&folder, HOUR), open(&folder, HOUR)];
    let id = adopted(&stores[0], 1_000).await.id;
    assert_eq!(topped_up(&stores[0], id, 500).await, (1_000, 1_000));
    assert_eq!(topped_up(&stores[1], id, 200).await, (1_500, 1_500));
    // a look that shows nothing new takes nothing off
    assert_eq!(stores[1].deposited(id, Amount::new(1_000)).await.unwrap().topping_up, Amount::new(700));
    assert_eq!(stores[0].deposited(id, Amount::new(1_500)).await.unwrap().topping_up, Amount::new(200));
    stores[0].cancel_top_up(id, Amount::new(200)).await.unwrap();
    let record = stores[1].load(id).await.unwrap();
    assert_eq!((record.topping_up, record.committed()), (Amount::ZERO, Amount::new(1_500)));
}

#[tokio::test]
async fn a_top_up_that_can_not_land_any_more_is_not_pending() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let id = adopted(&store, 1_000).await.id;
    topped_up(&store, id, 500).await;
    for (age, pending) in [(TRANSACTION_LIFE - 5, 500), (TRANSACTION_LIFE, 0)] {
        let sql = "UPDATE channels SET topping_up_at = ?1";
        let since = unix_seconds() - age;
        store.database.write(move |connection| connection.execute(sql, [since]).map(drop)).await.unwrap();
        let record = store.load(id).await.unwrap();
        assert_eq!(
            (record.topping_up, record.committed()),
            (Amount::new(pending), Amount::new(1_000 + pending))
        );
    }
    // and a new one does not make it count again
    assert_eq!(topped_up(&store, id, 20).await, (1_000, 1_000));
    assert_eq!(store.load(id).await.unwrap().topping_up, Amount::new(20));
}

#[tokio::test]
async fn a_store_of_the_first_release_keeps_its_channels_and_pending_top_ups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let old = Database::open(&path, Sharing::Shared, &schema::MIGRATIONS[..1]).unwrap();
    let sql = "INSERT INTO channels (program_id, funder, authorized_signer, origin, state, created_at, recipient, \
        mint, token_program, rent_payer, nonce, channel, vault, opened_slot, unit_price, deposited, topping_up) \
        VALUES (?1, ?2, ?3, 'https://a.example', 1, 1, ?1, ?1, ?1, ?1, 0, ?1, ?1, 7, 1, 1000, 500)";
    let keys = params_from_iter(OWNER.keys());
    old.write(move |connection| connection.execute(sql, keys).map(drop)).await.unwrap();
    drop(old);
    let record = open(&folder, HOUR).current("https://a.example").await.unwrap().unwrap();
    assert_eq!((record.opened_slot, record.topping_up), (7, Amount::new(500)));
    assert_eq!(record.network, None);
}

#[tokio::test]
async fn a_channel_is_stored_with_the_cluster_that_it_is_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    adopted(&store, 100).await;
    let begun = Intent { origin: "https://b.example".to_owned(), nonce: 7, ..intent(100) };
    store.begin_open(begun, |_| Ok(())).await.unwrap().unwrap();
    let path = folder.path().join("client.db");
    // a client of another one finds them, and knows them for what they are
    let elsewhere = Store::open(&path, OWNER, "solana:elsewhere", HOUR).unwrap();
    let networks: Vec<_> = elsewhere.all().await.unwrap().into_iter().map(|record| record.network).collect();
    assert_eq!(networks, [Some(NETWORK.to_owned()), Some(NETWORK.to_owned())]);
}

#[tokio::test]
async fn an_opening_that_was_begun_again_is_not_dropped_for_its_old_age() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    store.begin_open(intent(100), |_| Ok(())).await.unwrap().unwrap();
    store.age_openings().await;
    let old = store.current("https://a.example").await.unwrap().unwrap();
    let young = store.begin_open(intent(100), |_| Ok(())).await.unwrap().unwrap();
    assert!(!store.drop_intent(old.id, old.created_at).await.unwrap());
    assert!(store.drop_intent(old.id, young.created_at).await.unwrap());
}

#[tokio::test]
async fn a_store_of_the_release_before_delegation_keeps_its_channels_and_its_calls_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let old = Database::open(&path, Sharing::Shared, &schema::MIGRATIONS[..2]).unwrap();
    let now = unix_millis();
    let fill = move |connection: &Connection| {
        let channel = "INSERT INTO channels (program_id, funder, authorized_signer, origin, state, created_at, \
            recipient, mint, token_program, rent_payer, nonce, channel, vault, opened_slot, unit_price, deposited, \
            topping_up, topping_up_at, refunded, last_signed, acknowledged, agreed) \
            VALUES (?1, ?2, ?3, ?4, ?5, 11, ?6, ?6, ?6, ?6, ?7, ?6, ?6, 7, 3, 1000, 500, ?8, 20, 30, 40, 90)";
        let [program_id, funder, signer] = [OWNER.program_id, FUNDER, SIGNER].map(|key| key.to_bytes());
        for (origin, state, nonce) in [("https://a.example", 1, 0), ("https://b.example", 4, 1)] {
            let seconds = now / 1_000;
            let values = params![program_id, funder, signer, origin, state, [5_u8; 32], nonce, seconds];
            connection.execute(channel, values)?;
        }
        let call = "INSERT INTO in_flight (channel_id, price, sent_at) VALUES (1, 50, ?1)";
        connection.execute(call, [now])?;
        connection.execute(call, [now])
    };
    old.write(fill).await.unwrap();
    drop(old);
    let store = open(&folder, HOUR);
    let records = store.all().await.unwrap();
    let states: Vec<_> = records.iter().map(|record| (record.id, record.nonce, record.state)).collect();
    assert_eq!(states, [(2, 1, ChannelState::Closed), (1, 0, ChannelState::Open)]);
    let open = &records[1];
    assert_eq!((open.funder, open.delegation, open.epoch()), (FUNDER, None, 7));
    assert_eq!((open.topping_up, open.refunded), (Amount::new(500), Amount::new(20)));
    let books = Ledger {
        last_signed: Seq::new(30),
        acknowledged: Amount::new(40),
        agreed: Amount::new(90),
        in_flight: Amount::new(100),
        unsigned: Amount::ZERO,
        ..Ledger::new(UnitPrice::new(3).unwrap(), Amount::new(1_000))
    };
    assert_eq!(open.ledger, books);
    // and it works on: calls end, the next is signed, the same address can't be stored twice
    let reservation = store.reserve(1, ask(3), None, None).await.unwrap().unwrap();
    let after = store.resolve(reservation, Outcome::Refused).await.unwrap().unwrap();
    assert_eq!((after.in_flight, after.agreed), (Amount::new(100), Amount::new(90)));
    let again = store.adopt(
        Intent { recipient: Address::from([5; 32]), nonce: 0, ..intent(1) },
        9,
        Amount::ZERO,
        Seq::ZERO,
    );
    assert_eq!(again.await.unwrap().id, 1);
    assert_eq!(store.next_nonce(&FUNDER, &Address::from([5; 32])).await.unwrap(), 2);
}
