use amp_protocol::money::{Amount, Seq};
use amp_sdk::server::{
    Incarnation, MoneyEvent, MoneyKind, Session, SessionOnChain, SessionSigner, SessionState,
};
use solana_address::Address;

use super::history::{History, Remembered};
use super::reconciliation::{Reconciliation, of_gone, of_session};

const AT: Incarnation = Incarnation { channel: [1; 32], opened_slot: 9 };

fn signer() -> Address {
    Address::from([2; 32])
}

fn charged(at: i64, seq: u64, cost: u64) -> MoneyEvent {
    let kind = MoneyKind::Charged { signer: signer(), epoch: 9, seq: Seq::new(seq), cost: Amount::new(cost) };
    MoneyEvent { at, incarnation: AT, kind }
}

fn settled(at: i64, paid: u64) -> MoneyEvent {
    let kind = MoneyKind::Settled { signer: signer(), paid: Amount::new(paid), transaction: None };
    MoneyEvent { at, incarnation: AT, kind }
}

fn session(spent: u64, claimed: u64) -> Session {
    let spent = Amount::new(spent);
    Session {
        channel: Address::from(AT.channel).to_string(),
        opened_slot: AT.opened_slot,
        state: SessionState::Open,
        on_chain: Some(SessionOnChain {
            funder: "funder".to_owned(),
            deposited: Amount::new(1_000),
            claimed: Amount::new(claimed),
            unit_price: 1,
            rate_limit: 1_000,
            settle_interval: 60,
            close_grace: 60,
            opened_at: 0,
            closable_from: None,
        }),
        signers: vec![SessionSigner {
            signer: signer().to_string(),
            epoch: 9,
            is_delegate: Some(false),
            seq: Seq::new(spent.get()),
            ceiling: Some(spent),
            spent,
            calls: 1,
            period_start: 0,
            period_end: 0,
            reserved: Amount::ZERO,
        }],
        spent,
        streaming: Amount::ZERO,
        unsettled: spent.checked_sub(Amount::new(claimed)).unwrap(),
        exposure: Amount::ZERO,
        at_risk: Amount::ZERO,
        given_up: Amount::ZERO,
        grace_ends: None,
        in_flight: 0,
        statement: None,
    }
}

fn broken(reconciliation: &Reconciliation) -> Vec<&'static str> {
    reconciliation.lines.iter().filter(|line| !line.holds).map(|line| line.what).collect()
}

#[test]
fn what_happened_is_found_again_in_order_and_in_sums() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history.db")).unwrap();
    for event in [charged(3_599, 5, 5), charged(3_600, 9, 4), settled(7_300, 9)] {
        history.note(event);
    }
    history.flush();
    let charges = history.charges(None, None, 10).unwrap();
    let found: Vec<_> =
        charges.iter().map(|entry| (entry.at, entry.seq.as_str(), entry.cost.get())).collect();
    assert_eq!(found, [(3_600, "9", 4), (3_599, "5", 5)]);
    assert_eq!(history.charges(None, Some(charges[0].id), 10).unwrap(), charges[1..]);
    assert!(history.charges(Some("another"), None, 10).unwrap().is_empty());
    let hours = history.periods(false, 0, i64::MAX).unwrap();
    let sums: Vec<_> =
        hours.iter().map(|one| (one.start, one.charged.get(), one.calls, one.settled.get())).collect();
    assert_eq!(sums, [(0, 5, 1, 0), (3_600, 4, 1, 0), (7_200, 0, 0, 9)]);
    let days = history.periods(true, 0, i64::MAX).unwrap();
    assert_eq!((days.len(), days[0].charged.get(), days[0].calls), (1, 9, 2));
    assert_eq!(history.totals().unwrap(), (Amount::new(9), Amount::new(9)));
}

#[test]
fn a_settlement_that_is_forgotten_is_not_missing_and_is_not_booked_again() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history.db")).unwrap();
    history.note(charged(10, 9, 9));
    history.note(settled(20, 9));
    history.flush();
    // as when so many came after it
    history.reader().execute("DELETE FROM transfers", []).unwrap();
    history.gather_paid(&AT, &session(9, 9), 30).unwrap();
    assert_eq!(history.totals().unwrap(), (Amount::new(9), Amount::new(9)));
    let settled: u64 =
        history.periods(false, 0, i64::MAX).unwrap().iter().map(|hour| hour.settled.get()).sum();
    assert_eq!(settled, 9);
}

#[test]
fn what_a_crash_cut_off_is_booked_together_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let history = History::open(&path).unwrap();
    history.note(charged(10, 5, 5));
    history.flush();
    drop(history);
    // the store has 12, and the chain has paid 7
    let history = History::open(&path).unwrap();
    for _ in 0..2 {
        history.gather_charges(&AT, &session(12, 7), 20).unwrap();
        history.gather_paid(&AT, &session(12, 7), 20).unwrap();
    }
    let charges = history.charges(None, None, 10).unwrap();
    assert_eq!(charges.len(), 2);
    assert!(charges[0].is_gathered && charges[0].cost == Amount::new(7));
    assert_eq!(history.transfers(None, None, 10).unwrap()[0].kind, "gathered");
    assert_eq!(history.sums(&AT).unwrap(), (Amount::new(12), Amount::new(7)));
}

#[test]
fn a_channel_that_is_gone_is_remembered_with_what_was_last_seen_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history.db")).unwrap();
    history.saw(session(12, 7));
    let closing = Session { on_chain: None, statement: Some(Amount::new(12)), ..session(12, 7) };
    history.saw(closing);
    history.note(MoneyEvent { at: 50, incarnation: AT, kind: MoneyKind::Gone });
    history.flush();
    let gone = history.gone(10).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!((gone[0].deposited.get(), gone[0].claimed.get(), gone[0].gone_at), (1_000, 7, Some(50)));
    assert_eq!(gone[0].statement, Some(Amount::new(12)));
    assert_eq!(history.remembered(&gone[0].channel).unwrap().unwrap(), gone[0]);
}

/// Each equation, broken once.
#[test]
fn books_add_up_and_each_way_in_which_they_do_not_is_named() {
    let sums = |charged, paid| (Amount::new(charged), Amount::new(paid));
    let check = |session: &Session, sums| of_session(session, session.spent, sums);
    let good = check(&session(12, 7), sums(12, 7));
    assert!(good.adds_up, "{:?}", good.lines);
    assert_eq!(good.refund, Some(Amount::new(988)));

    let mut unsigned = session(12, 7);
    unsigned.signers[0].ceiling = Some(Amount::new(11));
    assert_eq!(broken(&check(&unsigned, sums(12, 7))), ["charged is at most what was signed for"]);
    assert_eq!(
        broken(&check(&session(12, 7), sums(11, 7))),
        ["all charges of the history are the books' total, but for streams under way"]
    );
    assert_eq!(
        broken(&check(&session(12, 7), sums(12, 6))),
        ["all settlements of the history are what the chain paid out"]
    );
    let streaming = Session { streaming: Amount::new(2), ..session(12, 7) };
    assert!(
        of_session(&streaming, Amount::new(10), sums(10, 7)).adds_up,
        "a stream is one charge, at its end"
    );
    let lost = Session { unsettled: Amount::new(4), ..session(12, 7) };
    assert_eq!(broken(&check(&lost, sums(12, 7))), ["charged is settled, or still to be"]);
    let mut poor = session(12, 7);
    poor.on_chain.as_mut().unwrap().deposited = Amount::new(11);
    let found = check(&poor, sums(12, 7));
    assert_eq!(broken(&found), ["charged is at most what was deposited"]);
    assert_eq!((found.refund, found.adds_up), (None, false));
}

#[test]
fn charges_that_come_while_the_books_are_read_are_no_difference() {
    let later = session(15, 7);
    assert!(of_session(&later, Amount::new(12), (Amount::new(13), Amount::new(7))).adds_up);
    assert!(!of_session(&later, Amount::new(12), (Amount::new(11), Amount::new(7))).adds_up);
    assert!(!of_session(&later, Amount::new(12), (Amount::new(16), Amount::new(7))).adds_up);
}

#[test]
fn a_channel_that_is_gone_was_paid_by_settlements_and_its_statement() {
    let gone = |statement: Option<u64>| Remembered {
        channel: "c".to_owned(),
        opened_slot: 9,
        funder: "f".to_owned(),
        deposited: Amount::new(100),
        claimed: Amount::new(7),
        statement: statement.map(Amount::new),
        gone_at: Some(1),
    };
    let sums = (Amount::new(12), Amount::new(7));
    let by_statement = of_gone(&gone(Some(12)), sums);
    assert!(by_statement.adds_up);
    assert_eq!(by_statement.refund, Some(Amount::new(88)));
    assert!(!of_gone(&gone(None), sums).adds_up, "5 were never paid");
}
