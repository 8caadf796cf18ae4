use amp_protocol::account::ChannelAccount;
use amp_protocol::money::{Amount, Seq};

use super::account::{ChannelLedger, SignerRecord};
use super::admit::{Limits, Refusal, Request, Reservation};
use super::authority::Authority;
use super::meter::NotCharged;

/// How far a metered request goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advance {
    /// What it has used so far, in base units.
    pub(crate) used: Amount,
    /// What it must be able to use in all, `used` included, to go on at all. Named in all, so that a step whose
    /// answer was lost, or that did not reach the disk, is not set aside twice.
    pub(crate) least: Amount,
    /// What it would like to.
    pub(crate) most: Amount,
    /// The signer's authority, as it is now.
    pub(crate) authority: Authority,
}

/// Why a metered request can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// A bound would be passed. Nothing has changed.
    Refused(Refusal),
    /// It can't be charged at all any more.
    NotCharged(NotCharged),
}

impl ChannelLedger {
    /// Charges what a metered request has used, and sets aside what it uses next: as much as the bounds of
    /// [admission](Self::admit) leave of `most`, and `least` at the least. No seq is used: what the signer has
    /// authorized counts, by whichever credential.
    ///
    /// Returns the reservation in its new size and the record to be stored. Only what was set aside in a record
    /// that is on disk may leave.
    pub(crate) fn advance(
        &mut self,
        account: &ChannelAccount,
        reservation: &Reservation,
        advance: &Advance,
        limits: &Limits,
        now: i64,
    ) -> Result<(Reservation, SignerRecord), Halt> {
        let forgotten = Halt::NotCharged(NotCharged::Forgotten);
        if self.sealed {
            return Err(Halt::NotCharged(NotCharged::Sealed));
        }
        if self.stopped_at.is_some() {
            return Err(Halt::Refused(Refusal::Stopped));
        }
        let authority = advance.authority;
        if authority.has_ended(now) {
            return Err(Halt::Refused(Refusal::ended(&authority, now)));
        }
        let at = self.holds.iter().position(|held| held.is_of(reservation)).ok_or(forgotten)?;
        let held = *self.holds.get(at).ok_or(forgotten)?;
        // one that was admitted for a price goes on as a metered one from its first advance on
        let charged = held.metered.unwrap_or(Amount::ZERO);
        let more = self.room(account, &held, advance, limits, now).map_err(Halt::Refused)?;
        let signer = self.signers.get_mut(&held.signer).ok_or(forgotten)?;
        let used = advance.used.checked_sub(charged).unwrap_or(Amount::ZERO).min(held.price);
        signer.take(used, used, charged.is_zero() && !used.is_zero(), now);
        signer.reserved = signer.reserved.checked_add(more).unwrap_or(Amount::MAX);
        let left = held.price.checked_sub(used).unwrap_or(Amount::ZERO);
        // both were admitted within the deposit, so neither sum can fail
        let next = Reservation {
            price: left.checked_add(more).unwrap_or(Amount::MAX),
            metered: Some(charged.checked_add(used).unwrap_or(Amount::MAX)),
            ..held
        };
        let record = SignerRecord::clone(&signer.live);
        if let Some(held) = self.holds.get_mut(at) {
            *held = next;
        }
        Ok((next, record))
    }

    /// How much more may be set aside beyond `held`: as much as was asked for, or the most that all bounds allow.
    fn room(
        &self,
        account: &ChannelAccount,
        held: &Reservation,
        advance: &Advance,
        limits: &Limits,
        now: i64,
    ) -> Result<Amount, Refusal> {
        let signer = self.signer(&held.signer).ok_or(Refusal::Stopped)?;
        let fits = |price: u64| {
            let request = Request {
                signer: held.signer,
                authority: advance.authority,
                seq: Seq::ZERO,
                sig: [0; 64],
                price: Amount::new(price),
                key: None,
                metered: true,
            };
            self.check_money(account, signer, &request, limits, now).map(drop)
        };
        let beyond = |total: Amount| total.get().saturating_sub(held.total().get());
        let (mut least, mut most) = (beyond(advance.least), beyond(advance.most.max(advance.least)));
        if fits(most).is_ok() {
            return Ok(Amount::new(most));
        }
        fits(least)?;
        // each bound is one on the sum, so what is more than one that does not fit does not fit either
        while most.saturating_sub(least) > 1 {
            let middle = least.saturating_add(most.saturating_sub(least) >> 1);
            if fits(middle).is_ok() { least = middle } else { most = middle }
        }
        Ok(Amount::new(least))
    }
}

#[cfg(test)]
#[path = "advance_tests.rs"]
mod tests;
