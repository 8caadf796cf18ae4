use std::sync::Arc;

use super::*;
use crate::server::ledger::SignerId;
use crate::server::testing::{LIMITS, authority, channel_account, signer_id};

const NOW: i64 = 1_000;

fn metered(ledger: &mut ChannelLedger, seq: u64, price: u64) -> Reservation {
    let request = Request {
        signer: signer_id(),
        authority: authority(),
        seq: Seq::new(seq),
        sig: [1; 64],
        price: Amount::new(price),
        key: None,
        metered: true,
    };
    ledger.admit(&channel_account(), &request, &LIMITS, NOW).unwrap()
}

fn by(used: u64, least: u64, most: u64) -> Advance {
    Advance {
        used: Amount::new(used),
        least: Amount::new(least),
        most: Amount::new(most),
        authority: authority(),
    }
}

fn go_on(
    ledger: &mut ChannelLedger,
    reservation: &Reservation,
    advance: Advance,
) -> Result<(Reservation, SignerRecord), Halt> {
    // the tests say how much more; what is held counts too
    let held = reservation.metered.unwrap().checked_add(reservation.price).unwrap();
    let in_all = |more: Amount| held.checked_add(more).unwrap();
    let advance = Advance { least: in_all(advance.least), most: in_all(advance.most), ..advance };
    ledger.advance(&channel_account(), reservation, &advance, &LIMITS, NOW)
}

/// Spent, reserved, and spent as it is stored.
fn books(ledger: &ChannelLedger) -> (u64, u64, u64) {
    let id: SignerId = signer_id();
    let signer = ledger.signer(&id).unwrap();
    let stored = ledger.to_store(SignerRecord::clone(&signer.live));
    (signer.live.spent.get(), signer.reserved.get(), stored.spent.get())
}

#[test]
fn what_is_set_aside_counts_as_spent_on_disk_and_nowhere_else() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 10);
    assert_eq!(books(&ledger), (0, 10, 10));
    let (reservation, record) = go_on(&mut ledger, &reservation, by(4, 1, 20)).unwrap();
    assert_eq!((reservation.price.get(), record.spent.get()), (26, 4));
    assert_eq!(books(&ledger), (4, 26, 30));
}

#[test]
fn the_last_charge_takes_what_was_used_and_leaves_nothing_ahead() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 10);
    let (reservation, _) = go_on(&mut ledger, &reservation, by(4, 1, 20)).unwrap();
    let record = ledger.charge(&reservation, Amount::new(10), NOW).unwrap();
    assert_eq!(
        books(&ledger),
        (10, 0, 10),
        "before it is on disk, too: another's record must not count it twice"
    );
    ledger.committed_record(&reservation, record);
    assert_eq!((books(&ledger), ledger.in_flight()), ((10, 0, 10), 0));
}

#[test]
fn as_much_is_set_aside_as_the_ceiling_leaves() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 10);
    let (reservation, _) = go_on(&mut ledger, &reservation, by(0, 1, 200)).unwrap();
    assert_eq!(reservation.price.get(), 10 + 90);
    let refused = go_on(&mut ledger, &reservation, by(0, 1, 200)).unwrap_err();
    let required_seq = Seq::new(101);
    assert_eq!(refused, Halt::Refused(Refusal::Ceiling { price: Amount::new(1), required_seq }));
    assert_eq!(books(&ledger), (0, 100, 100), "a refusal changes nothing");
}

#[test]
fn where_nothing_is_needed_nothing_is_refused() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 100);
    let (reservation, _) = go_on(&mut ledger, &reservation, by(30, 0, 200)).unwrap();
    assert_eq!((reservation.price.get(), books(&ledger)), (70, (30, 70, 100)));
}

#[test]
fn a_higher_credential_of_another_request_lets_it_go_on() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 100);
    assert!(go_on(&mut ledger, &reservation, by(100, 1, 1)).is_err());
    let raise = metered(&mut ledger, 150, 0);
    let (reservation, _) = go_on(&mut ledger, &reservation, by(100, 1, 50)).unwrap();
    assert_eq!((reservation.price.get(), reservation.metered), (50, Some(Amount::new(100))));
    ledger.release(&raise);
    assert_eq!(books(&ledger), (100, 50, 150));
}

#[test]
fn a_stream_is_one_call_however_often_it_is_charged() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 10);
    let (reservation, record) = go_on(&mut ledger, &reservation, by(4, 1, 20)).unwrap();
    assert_eq!((record.calls, record.period_start), (1, NOW));
    let (reservation, record) = go_on(&mut ledger, &reservation, by(8, 1, 20)).unwrap();
    assert_eq!((record.calls, record.spent.get()), (1, 8));
    let record = ledger.charge(&reservation, Amount::new(9), NOW).unwrap();
    assert_eq!((record.calls, record.spent.get()), (1, 9));
}

#[test]
fn a_channel_that_is_stopped_or_sealed_halts_its_streams() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 10);
    ledger.stopped_at = Some(1);
    let halted = go_on(&mut ledger, &reservation, by(4, 1, 20)).unwrap_err();
    assert_eq!(halted, Halt::Refused(Refusal::Stopped));
    ledger.charge(&reservation, Amount::new(4), NOW).unwrap();
    ledger.sealed = true;
    let halted = go_on(&mut ledger, &reservation, by(4, 1, 20)).unwrap_err();
    assert_eq!(halted, Halt::NotCharged(NotCharged::Sealed));
}

#[test]
fn an_advance_whose_answer_was_lost_is_not_charged_twice() {
    let mut ledger = ChannelLedger::default();
    let before = metered(&mut ledger, 100, 10);
    go_on(&mut ledger, &before, by(4, 1, 20)).unwrap();
    // its caller knows nothing of it, and goes on from what it had
    go_on(&mut ledger, &before, by(6, 1, 20)).unwrap();
    assert_eq!(books(&ledger), (6, 24, 30), "nor set aside twice");
    ledger.charge(&before, Amount::new(7), NOW).unwrap();
    assert_eq!(books(&ledger), (7, 0, 7));
}

#[test]
fn one_that_was_forgotten_does_not_go_on() {
    let mut ledger = ChannelLedger::default();
    let reservation = metered(&mut ledger, 100, 10);
    ledger.release(&reservation);
    let halted = go_on(&mut ledger, &reservation, by(4, 1, 20)).unwrap_err();
    assert_eq!((halted, books(&ledger)), (Halt::NotCharged(NotCharged::Forgotten), (0, 0, 0)));
}

#[test]
fn another_process_sees_what_was_charged_without_what_is_ahead() {
    use crate::server::store::{Incarnation, SharedChannel, Stamp};
    let mut ledger = ChannelLedger::default();
    let before = ledger.clone();
    let reservation = metered(&mut ledger, 100, 10);
    go_on(&mut ledger, &reservation, by(4, 1, 20)).unwrap();
    let at = Incarnation { channel: [1; 32], opened_slot: 1 };
    let change = ledger.change_since(&before, at, Stamp::NONE);
    assert_eq!(change.signers[0].spent.get(), 30);
    let mut stored = SharedChannel::nothing(at);
    (stored.stored.signers, stored.elsewhere) = (change.signers, change.own.unwrap());
    let mut other = ChannelLedger::default();
    other.adopt(&stored);
    assert_eq!(books(&other), (4, 26, 30));
    // the process with the stream has died: what may have left stays spent
    stored.elsewhere.clear();
    other.adopt(&stored);
    assert_eq!(books(&other), (30, 0, 30));
    assert!(Arc::ptr_eq(
        &other.signer(&signer_id()).unwrap().live,
        other.signer(&signer_id()).unwrap().committed.as_ref().unwrap()
    ));
}
