//! The chain, as the program keeps it and as the service last saw it.

use super::*;

/// The channel, and the delegations at the places 1 and 2 with their epochs.
#[derive(Clone)]
pub(super) struct World {
    pub(super) account: ChannelAccount,
    pub(super) delegations: [Option<(u64, Delegation)>; 3],
}

impl World {
    pub(super) fn authority(&self, signer: usize) -> Option<(SignerId, Authority)> {
        if signer == 0 {
            return Some((SignerId::authorized(&self.account), Authority::channel(&self.account)));
        }
        let (epoch, delegation) = self.delegations[signer]?;
        let key = [u8::try_from(signer).unwrap(); 32];
        Some((SignerId { key, epoch }, Authority::Delegation(delegation)))
    }

    pub(super) fn claims(&self) -> Vec<(SignerId, Amount)> {
        let delegates = (1..3).filter_map(|signer| self.authority(signer));
        delegates.map(|(id, authority)| (id, authority.books().claimed)).collect()
    }

    /// Books a claim of all that a signer owes, as the program does.
    pub(super) fn settle(&mut self, signer: usize, seq: Seq, owed: Amount, now: i64) -> Result<(), String> {
        let (_, authority) = self.authority(signer).ok_or("no delegation")?;
        let done = authority.settle(&self.account, seq, owed, now).map_err(|error| error.to_string())?;
        (self.account.books.claimed, self.account.books.window) = (done.claimed, done.window);
        let books = SignerBooks { claimed: done.signer_claimed, last_settled_at: now };
        match &mut self.delegations[signer] {
            Some((_, delegation)) => delegation.signer = books,
            None => self.account.signer = books,
        }
        Ok(())
    }
}
