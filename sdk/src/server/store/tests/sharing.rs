use amp_test_postgres::TestPostgres;

use super::*;

/// Two processes on one schema; nothing where there is no PostgreSQL.
async fn two() -> Option<[PostgresStore; 2]> {
    let (server, schema) = (TestPostgres::shared()?, TestPostgres::schema());
    let connect = async || PostgresStore::connect(&server.address(), &schema).await.unwrap();
    Some([connect().await, connect().await])
}

fn hold(seq: u64) -> Hold {
    let (signer, epoch) = ([3; 32], u64::MAX - 1);
    Hold { signer, epoch, seq: Seq::new(seq), price: Amount::new(10), key: None, metered: None }
}

fn spend(store: &PostgresStore, seen: Stamp, spent: u64) -> Change {
    let signers = vec![record(spent, spent)];
    Change { next: store.next_stamp(), signers, durable: true, ..Change::nothing(AT, seen) }
}

async fn exchange(store: &PostgresStore, change: &Change) -> Exchanged {
    store.exchange(change.clone(), 64).await.unwrap()
}

/// Of a change that was made.
fn stamp_of(exchanged: Exchanged) -> Stamp {
    match exchanged {
        Exchanged::Done { stamp, .. } => stamp,
        Exchanged::Stale(found) => panic!("{found:?}"),
    }
}

async fn there(store: &PostgresStore) -> SharedChannel {
    match exchange(store, &Change::nothing(AT, Stamp([1; 16]))).await {
        Exchanged::Stale(found) => *found,
        Exchanged::Done { .. } => panic!("nothing is there"),
    }
}

#[tokio::test]
async fn of_two_changes_of_one_state_one_is_made_and_the_other_learns_of_it() {
    let Some([one, other]) = two().await else { return };
    let (first, second) = (spend(&one, Stamp::NONE, 1), spend(&other, Stamp::NONE, 2));
    let (a, b) = tokio::join!(exchange(&one, &first), exchange(&other, &second));
    let (winner, made) = match (a, b) {
        (Exchanged::Done { stamp, .. }, Exchanged::Stale(found)) => (first, (stamp, found)),
        (Exchanged::Stale(found), Exchanged::Done { stamp, .. }) => (second, (stamp, found)),
        neither => panic!("{neither:?}"),
    };
    assert_eq!((made.0, made.1.stamp), (winner.next, winner.next));
    assert_eq!(made.1.stored.signers, winner.signers);
}

#[tokio::test]
async fn a_change_that_is_sent_again_is_made_once() {
    let Some([one, other]) = two().await else { return };
    let change = spend(&one, Stamp::NONE, 1);
    assert_eq!(stamp_of(exchange(&one, &change).await), change.next);
    assert_eq!(stamp_of(exchange(&one, &change).await), change.next);
    let later = spend(&other, change.next, 2);
    assert_eq!(stamp_of(exchange(&other, &later).await), later.next);
    assert_eq!(stamp_of(exchange(&one, &change).await), change.next, "although another came after");
    assert_eq!(there(&one).await.stored.signers, later.signers);
}

#[tokio::test]
async fn every_part_of_a_change_is_seen_by_the_other_process() {
    let Some([one, other]) = two().await else { return };
    let holds = vec![hold(1), Hold { key: Some(AnswerKey::of(b"name")), ..hold(2) }];
    let kept = answer(1);
    let change = Change {
        own: Some(holds.clone()),
        stopped_at: Some(5),
        sealed: true,
        statement: Some(statement()),
        answers: vec![kept.clone()],
        durable: false,
        ..spend(&one, Stamp::NONE, 1)
    };
    exchange(&one, &change).await;
    let seen = there(&other).await;
    assert_eq!((&seen.elsewhere, &seen.own, seen.sealed, seen.stamp), (&holds, &vec![], true, change.next));
    assert_eq!((seen.stored.stopped_at, seen.stored.statement), (Some(5), Some(statement())));
    assert_eq!(seen.stored.signers, change.signers);
    assert_eq!(other.answer(AT, &kept.id).await.unwrap(), Some(kept));
    assert_eq!(there(&one).await.own, holds);
    let free = Change { own: Some(vec![]), next: one.next_stamp(), ..Change::nothing(AT, change.next) };
    exchange(&one, &free).await;
    assert_eq!(there(&other).await.elsewhere, []);
    let restart = Change { stopped_at: Some(9), next: one.next_stamp(), ..Change::nothing(AT, free.next) };
    exchange(&one, &restart).await;
    assert_eq!(there(&other).await.stored.stopped_at, Some(5), "the first counts");
}

#[tokio::test]
async fn a_change_of_nothing_writes_nothing_and_tells_what_is_there() {
    let Some([one, other]) = two().await else { return };
    let nothing = Change::nothing(AT, Stamp::NONE);
    assert_eq!(stamp_of(exchange(&one, &nothing).await), Stamp::NONE);
    assert_eq!(one.stamps().await.unwrap(), []);
    let change = spend(&other, Stamp::NONE, 1);
    exchange(&other, &change).await;
    assert_eq!(one.stamps().await.unwrap(), [(AT, change.next)]);
    assert!(matches!(exchange(&one, &nothing).await, Exchanged::Stale(_)));
    let seen = Change::nothing(AT, change.next);
    assert_eq!(stamp_of(exchange(&one, &seen).await), change.next);
}

#[tokio::test]
async fn many_changes_of_many_channels_at_once_neither_block_each_other_nor_get_lost() {
    let Some(stores) = two().await else { return };
    let add = async |store: &PostgresStore, channel: u8| {
        let at = Incarnation { channel: [channel; 32], opened_slot: 1 };
        let mut seen = SharedChannel::nothing(at);
        loop {
            let spent = seen.stored.signers.first().map_or(0, |record| record.spent.get()) + 1;
            let change = Change { incarnation: at, ..spend(store, seen.stamp, spent) };
            match exchange(store, &change).await {
                Exchanged::Done { .. } => return,
                Exchanged::Stale(found) => seen = *found,
            }
        }
    };
    let all = (0..400_u32).map(|n| add(&stores[n as usize % 2], (n / 2 % 20) as u8));
    futures::future::join_all(all).await;
    let found = loaded(&stores[0]).await;
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|channel| channel.signers[0].spent == Amount::new(20)), "{found:?}");
}

#[tokio::test]
async fn one_process_at_a_time_looks_after_all_channels() {
    let Some([one, other]) = two().await else { return };
    assert!(one.stay_alive(true).await.unwrap());
    assert!(!other.stay_alive(true).await.unwrap());
    assert!(one.stay_alive(true).await.unwrap());
    silence(&one).await;
    assert!(other.stay_alive(true).await.unwrap());
    assert!(!one.stay_alive(true).await.unwrap());
}

#[tokio::test]
async fn what_was_in_flight_at_a_dead_process_is_released_and_one_that_was_only_slow_finds_out() {
    let Some([slow, other]) = two().await else { return };
    let held =
        Change { own: Some(vec![hold(1)]), next: slow.next_stamp(), ..Change::nothing(AT, Stamp::NONE) };
    exchange(&slow, &held).await;
    other.stay_alive(true).await.unwrap();
    assert_eq!(there(&other).await.elsewhere, [hold(1)]);
    silence(&slow).await;
    other.stay_alive(true).await.unwrap();
    assert_eq!(there(&other).await.elsewhere, []);
    let Exchanged::Stale(found) = exchange(&slow, &spend(&slow, held.next, 1)).await else { panic!() };
    assert_eq!(found.own, []);
}

/// As if nothing had been heard of a process for long.
async fn silence(store: &PostgresStore) {
    store.be_silent().await;
}

#[tokio::test]
async fn who_comes_too_late_is_waited_for() {
    let Some([one, other]) = two().await else { return };
    let first = spend(&one, Stamp::NONE, 1);
    exchange(&one, &first).await;
    assert!(matches!(exchange(&other, &spend(&other, Stamp::NONE, 1)).await, Exchanged::Stale(_)));
    let second = spend(&one, first.next, 2);
    assert!(matches!(exchange(&one, &second).await, Exchanged::Done { others_wait: true, .. }));
    exchange(&other, &spend(&other, second.next, 3)).await;
    let seen = there(&one).await.stamp;
    assert!(matches!(
        exchange(&one, &spend(&one, seen, 4)).await,
        Exchanged::Done { others_wait: false, .. }
    ));
}

#[tokio::test]
async fn a_channel_that_a_crash_of_the_database_took_is_stale_and_not_done() {
    let Some([one, _]) = two().await else { return };
    let Exchanged::Stale(found) = exchange(&one, &spend(&one, Stamp([1; 16]), 1)).await else { panic!() };
    assert_eq!(*found, SharedChannel::nothing(AT));
    assert_eq!(one.stamps().await.unwrap(), [], "nothing was written");
}

#[tokio::test]
async fn a_process_that_ends_leaves_its_place_to_another_at_once() {
    let Some([one, other]) = two().await else { return };
    assert!(one.stay_alive(true).await.unwrap() && !other.stay_alive(true).await.unwrap());
    assert!(!one.stay_alive(false).await.unwrap());
    assert!(other.stay_alive(true).await.unwrap());
}

#[tokio::test]
async fn a_close_that_may_land_is_known_to_all_and_threatens_other_incarnations_only() {
    let Some([one, other]) = two().await else { return };
    exchange(&one, &spend(&one, Stamp::NONE, 1)).await;
    let next = Incarnation { opened_slot: 1, ..AT };
    assert!(!other.may_be_closed(next, 180).await.unwrap());
    one.note_close(AT).await.unwrap();
    assert!(other.may_be_closed(next, 180).await.unwrap());
    assert!(!other.may_be_closed(AT, 180).await.unwrap());
    assert!(!other.may_be_closed(next, 0).await.unwrap(), "it can land no more");
}
