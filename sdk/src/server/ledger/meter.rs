use std::sync::Arc;

use amp_protocol::money::Amount;

use super::account::{ChannelLedger, SignerRecord};
use super::admit::Reservation;
use super::authority::SignerId;

/// Why a request that was served can't be charged: its answer must not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotCharged {
    /// The total of the close statement is fixed: nothing more can be charged.
    Sealed,
    /// The store forgot that it was admitted: another process may have used its seq, or what was set
    /// aside for it.
    Forgotten,
}

impl ChannelLedger {
    /// Turns a reservation into a charge of `used`, at most its price; of a metered one `used` is all that it
    /// used, also what was charged before. Returns the record that must
    /// be on disk before the answer leaves; [`Self::committed_record`] or [`Self::undo`] follows, and the
    /// request counts as in flight until then.
    pub(crate) fn charge(
        &mut self,
        reservation: &Reservation,
        used: Amount,
        now: i64,
    ) -> Result<SignerRecord, NotCharged> {
        if self.sealed {
            self.release(reservation);
            return Err(NotCharged::Sealed);
        }
        let Some(held) = self.holds.iter_mut().find(|held| held.is_of(reservation)) else {
            return Err(NotCharged::Forgotten);
        };
        // what is left of a metered one is on disk no longer once this charge is
        let (set_aside, charged) = (held.price, held.metered.take());
        let Some(signer) = self.signers.get_mut(&reservation.signer) else {
            return Err(NotCharged::Forgotten);
        };
        let before = charged.unwrap_or(Amount::ZERO);
        let used = used.checked_sub(before).unwrap_or(Amount::ZERO).min(set_aside);
        signer.take(set_aside, used, before.is_zero() && !used.is_zero(), now);
        Ok(SignerRecord::clone(&signer.live))
    }

    /// Gives a reservation back: its request was not served. Its seq stays used.
    pub(crate) fn release(&mut self, reservation: &Reservation) {
        if !self.done(reservation) {
            return;
        }
        if let Some(signer) = self.signers.get_mut(&reservation.signer) {
            signer.reserved = signer.reserved.checked_sub(reservation.price).unwrap_or(Amount::ZERO);
            if reservation.metered.is_some() {
                let live = Arc::make_mut(&mut signer.live);
                live.revision = live.revision.saturating_add(1);
            }
        }
    }

    /// The charge is on disk.
    pub(crate) fn committed_record(&mut self, reservation: &Reservation, record: SignerRecord) {
        // commits of parallel requests may be noticed out of order
        self.note_stored(&reservation.signer, record);
        self.done(reservation);
    }

    /// A signer's record as it is stored: with what metered requests may have used by the time it is read again.
    pub(crate) fn to_store(&self, record: SignerRecord) -> SignerRecord {
        let id = SignerId { key: record.signer, epoch: record.epoch };
        let ahead = self.ahead_of(&id);
        SignerRecord { spent: record.spent.checked_add(ahead).unwrap_or(Amount::MAX), ..record }
    }

    /// What metered requests of a signer have set aside, here and at other processes.
    pub(super) fn ahead_of(&self, id: &SignerId) -> Amount {
        let held = self.holds.iter().chain(&self.elsewhere);
        let metered = held.filter(|held| held.metered.is_some() && held.signer == *id);
        // each was admitted within the deposit, so this can't fail
        metered.fold(Amount::ZERO, |sum, held| sum.checked_add(held.price).unwrap_or(Amount::MAX))
    }

    /// A signer's record as it is stored now, and as it is.
    pub(crate) fn stored_form(&self, id: &SignerId) -> Option<(SignerRecord, SignerRecord)> {
        let live = SignerRecord::clone(&self.signer(id)?.live);
        Some((self.to_store(live.clone()), live))
    }

    /// Signers of which not all is on disk.
    pub(crate) fn unstored(&self) -> Vec<SignerId> {
        let behind = self.signers.iter().filter(|(_, signer)| {
            let stored = signer.committed.as_ref().map_or(0, |committed| committed.revision);
            signer.live.revision > stored
        });
        behind.map(|(id, _)| *id).collect()
    }

    /// This record of the signer is on disk.
    pub(crate) fn note_stored(&mut self, id: &SignerId, record: SignerRecord) {
        if let Some(signer) = self.signers.get_mut(id)
            && signer.committed.as_ref().is_none_or(|known| known.revision < record.revision)
        {
            signer.committed = Some(Arc::new(record));
        }
    }

    /// The charge did not reach the disk, so its answer does not leave: it is taken back.
    pub(crate) fn undo(&mut self, reservation: &Reservation, used: Amount) {
        self.refund(reservation, used);
        self.done(reservation);
    }

    /// The charge did not reach the disk, and stands.
    pub(crate) fn keep(&mut self, reservation: &Reservation) {
        self.done(reservation);
    }

    /// Takes a charge back.
    pub(super) fn refund(&mut self, reservation: &Reservation, used: Amount) {
        if let Some(signer) = self.signers.get_mut(&reservation.signer) {
            let used = used.min(reservation.price);
            let live = Arc::make_mut(&mut signer.live);
            live.spent = live.spent.checked_sub(used).unwrap_or(Amount::ZERO);
            if !used.is_zero() {
                live.calls = live.calls.saturating_sub(1);
            }
            live.revision = live.revision.saturating_add(1);
        }
    }

    /// The request is not in flight any more; whether it was.
    pub(super) fn done(&mut self, reservation: &Reservation) -> bool {
        let Some(at) = self.holds.iter().position(|held| held.is_of(reservation)) else { return false };
        self.holds.swap_remove(at);
        if self.holds.is_empty() {
            // a channel that is idle holds no memory for what it once had in flight
            self.holds = Vec::new();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ledger::Request;
    use crate::server::testing::{LIMITS, authority, channel_account, signer_id};
    use amp_protocol::money::Seq;

    fn admitted(ledger: &mut ChannelLedger, seq: u64, price: u64) -> Reservation {
        let request = Request {
            signer: signer_id(),
            authority: authority(),
            seq: Seq::new(seq),
            sig: [1; 64],
            price: Amount::new(price),
            key: None,
            metered: false,
        };
        ledger.admit(&channel_account(), &request, &LIMITS, 1_000).unwrap()
    }

    fn spent_and_reserved(ledger: &ChannelLedger) -> (u64, u64) {
        let signer = ledger.signer(&signer_id()).unwrap();
        (signer.live.spent.get(), signer.reserved.get())
    }

    #[test]
    fn a_charge_takes_what_was_used_and_gives_the_rest_back() {
        let mut ledger = ChannelLedger::default();
        let reservation = admitted(&mut ledger, 100, 60);
        assert_eq!(spent_and_reserved(&ledger), (0, 60));
        let record = ledger.charge(&reservation, Amount::new(40), 7).unwrap();
        assert_eq!(spent_and_reserved(&ledger), (40, 0));
        assert_eq!((record.calls, record.period_start, record.period_end), (1, 7, 7));
        assert_eq!(ledger.in_flight(), 1, "until it is on disk");
        ledger.committed_record(&reservation, record);
        assert_eq!(ledger.in_flight(), 0);
    }

    #[test]
    fn never_more_than_the_price_is_charged() {
        let mut ledger = ChannelLedger::default();
        let reservation = admitted(&mut ledger, 100, 60);
        ledger.charge(&reservation, Amount::new(61), 7).unwrap();
        assert_eq!(spent_and_reserved(&ledger), (60, 0));
    }

    #[test]
    fn a_charge_that_is_not_on_disk_is_not_claimed_and_can_be_taken_back() {
        let mut ledger = ChannelLedger::default();
        let reservation = admitted(&mut ledger, 100, 60);
        ledger.charge(&reservation, Amount::new(60), 7).unwrap();
        assert_eq!(ledger.owed_total(&channel_account()), Some(Amount::ZERO));
        ledger.undo(&reservation, Amount::new(60));
        assert_eq!(spent_and_reserved(&ledger), (0, 0));
        assert_eq!((ledger.in_flight(), ledger.signer(&signer_id()).unwrap().live.calls), (0, 0));
    }

    #[test]
    fn commits_seen_out_of_order_keep_the_newest_record() {
        let mut ledger = ChannelLedger::default();
        let reservations = [admitted(&mut ledger, 100, 10), admitted(&mut ledger, 99, 10)];
        let records = reservations
            .map(|reservation| (reservation, ledger.charge(&reservation, Amount::new(10), 7).unwrap()));
        for (reservation, record) in records.into_iter().rev() {
            ledger.committed_record(&reservation, record);
        }
        assert_eq!(ledger.owed_total(&channel_account()), Some(Amount::new(20)));
    }

    #[test]
    fn a_released_request_costs_nothing_and_its_seq_stays_used() {
        let mut ledger = ChannelLedger::default();
        let reservation = admitted(&mut ledger, 100, 60);
        ledger.release(&reservation);
        assert_eq!((spent_and_reserved(&ledger), ledger.in_flight()), ((0, 0), 0));
        assert!(!ledger.signer(&signer_id()).unwrap().live.replay.is_fresh(Seq::new(100)));
    }

    #[test]
    fn a_sealed_ledger_charges_nothing() {
        let mut ledger = ChannelLedger::default();
        let reservation = admitted(&mut ledger, 100, 60);
        ledger.sealed = true;
        assert_eq!(ledger.charge(&reservation, Amount::new(60), 7), Err(NotCharged::Sealed));
        assert_eq!((spent_and_reserved(&ledger), ledger.in_flight()), ((0, 0), 0));
    }
}
