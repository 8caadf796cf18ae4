use std::collections::HashSet;
use std::sync::Arc;

use amp_protocol::money::Amount;

use super::account::{ChannelLedger, SignerAccount, SignerRecord};
use super::admit::Reservation;
use super::authority::SignerId;
use super::meter::NotCharged;
use crate::server::store::{Change, Hold, Incarnation, SharedChannel, Stamp};

/// The ledger where other processes keep books of the same channel: what is stored is right, and this is
/// what was seen of it last, beside what the chain has told.
impl ChannelLedger {
    /// Takes over what is stored. A request of this process that is not in flight there any more was
    /// forgotten, by a database that crashed or by processes that took this one for dead: it can't be
    /// charged.
    pub(crate) fn adopt(&mut self, stored: &SharedChannel) {
        for record in &stored.stored.signers {
            let id = SignerId { key: record.signer, epoch: record.epoch };
            let record = Arc::new(without_ahead(record.clone(), stored));
            let new = || SignerAccount::of(record.clone(), None, Amount::ZERO);
            let signer = self.signers.get_or_insert_with(id, new);
            (signer.live, signer.committed) = (record.clone(), Some(record.clone()));
            signer.note_claimed(signer.claimed);
        }
        self.stopped_at = stored.stored.stopped_at;
        self.sealed = stored.sealed;
        self.statement = stored.stored.statement.map(Box::new);
        let own: HashSet<&Hold> = stored.own.iter().collect();
        self.holds.retain(|held| own.contains(&Hold::from(*held)));
        self.elsewhere = stored.elsewhere.iter().copied().map(Reservation::from).collect();
        self.set_aside_again();
    }

    /// Takes over what was made from this ledger and is stored now; what the chain told meanwhile stays.
    pub(crate) fn follow(&mut self, made: &Self) {
        for (id, made) in made.signers.iter() {
            let signer = self.signers.get_or_insert_with(*id, || made.clone());
            let record = made.live.clone();
            // of whom only the chain has told there is no record
            if made.committed.is_some() || made.live.revision > 0 || !made.live.seq.is_zero() {
                signer.committed = Some(record.clone());
            }
            signer.live = record;
            signer.given_up &= made.given_up;
            signer.note_claimed(signer.claimed);
        }
        self.stopped_at = made.stopped_at;
        self.sealed = made.sealed;
        self.statement.clone_from(&made.statement);
        (self.holds, self.elsewhere) = (made.holds.clone(), made.elsewhere.clone());
        self.noted_claims = self.noted_claims.max(made.noted_claims);
        self.set_aside_again();
    }

    /// What was made of `before`, to be stored.
    pub(crate) fn change_since(&self, before: &Self, incarnation: Incarnation, seen: Stamp) -> Change {
        let is_new = |id: &SignerId, signer: &SignerAccount| {
            let same = |known: &SignerAccount| known.live == signer.live;
            let ahead = || before.ahead_of(id) == self.ahead_of(id);
            !before.signers.get(id).is_some_and(|known| same(known) && ahead())
        };
        let changed = self.signers.iter().filter(|(id, signer)| is_new(id, signer));
        let own = || self.holds.iter().copied().map(Hold::from).collect();
        Change {
            signers: changed.map(|(_, signer)| self.to_store(SignerRecord::clone(&signer.live))).collect(),
            own: (self.holds != before.holds).then(own),
            stopped_at: self.stopped_at.filter(|_| before.stopped_at.is_none()),
            sealed: self.sealed && !before.sealed,
            statement: self.statement.as_deref().copied().filter(|_| before.statement.is_none()),
            ..Change::nothing(incarnation, seen)
        }
    }

    /// Charges a request, where all that is known of the channel allows it still: what was set aside for it
    /// may have been given to another. It is not in flight any more then.
    pub(crate) fn charge_shared(
        &mut self,
        reservation: &Reservation,
        used: Amount,
        now: i64,
    ) -> Result<SignerRecord, NotCharged> {
        let record = self.charge(reservation, used, now)?;
        self.done(reservation);
        Ok(record)
    }

    /// Takes a charge back of which its caller does not know.
    pub(crate) fn take_back(&mut self, reservation: &Reservation, used: Amount) {
        if !self.sealed {
            self.refund(reservation, used);
        }
    }

    fn set_aside_again(&mut self) {
        for (_, signer) in self.signers.iter_mut() {
            signer.reserved = Amount::ZERO;
        }
        for held in self.holds.iter().chain(&self.elsewhere) {
            if let Some(signer) = self.signers.get_mut(&held.signer) {
                // past 64 bits nothing more is admitted
                signer.reserved = signer.reserved.checked_add(held.price).unwrap_or(Amount::MAX);
            }
        }
    }
}

/// A record without what metered requests that are in flight may still use.
fn without_ahead(record: SignerRecord, stored: &SharedChannel) -> SignerRecord {
    let held = stored.own.iter().chain(&stored.elsewhere);
    let of_it =
        |held: &&Hold| held.metered.is_some() && (held.signer, held.epoch) == (record.signer, record.epoch);
    let spent = held.filter(of_it).try_fold(record.spent, |spent, held| spent.checked_sub(held.price));
    // it was stored with all of them
    SignerRecord { spent: spent.unwrap_or(Amount::ZERO), ..record }
}

impl From<Reservation> for Hold {
    fn from(Reservation { signer, seq, price, key, metered }: Reservation) -> Self {
        Self { signer: signer.key, epoch: signer.epoch, seq, price, key, metered }
    }
}

impl From<Hold> for Reservation {
    fn from(Hold { signer, epoch, seq, price, key, metered }: Hold) -> Self {
        Self { signer: SignerId { key: signer, epoch }, seq, price, key, metered }
    }
}
