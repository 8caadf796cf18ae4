use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;

use super::account::{ChannelLedger, SignerAccount};
use super::authority::SignerId;

/// What a service has at stake on a channel, in base units: for whoever watches it. Nothing is decided by
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stake {
    /// Committed, and not known to be paid.
    pub(crate) unsettled: Amount,
    /// Charged or set aside, and not known to be paid.
    pub(crate) exposure: Amount,
    /// Committed, and can't be collected any more. It is in none of the others.
    pub(crate) given_up: Amount,
}

impl ChannelLedger {
    /// What is at stake.
    pub(crate) fn stake(&self) -> Stake {
        let mut stake = Stake::default();
        self.signers.iter().for_each(|(_, signer)| stake.add(signer));
        stake
    }

    /// Takes note of what a look saw claimed of the authorized signer: books that were restored learn of its
    /// claims with its next request.
    pub(crate) fn has_seen_claimed(&mut self, account: &ChannelAccount) {
        if let Some(signer) = self.signers.get_mut(&SignerId::authorized(account)) {
            signer.seen_claimed = account.signer.claimed;
        }
    }
}

impl Stake {
    fn add(&mut self, signer: &SignerAccount) {
        let claimed = signer.claimed.max(signer.seen_claimed);
        let committed = signer.committed.as_ref().map_or(Amount::ZERO, |committed| committed.spent);
        let used = signer.live.spent.max(committed).checked_add(signer.reserved).unwrap_or(Amount::MAX);
        if signer.given_up {
            self.given_up = sum(self.given_up, above(committed, claimed));
        } else {
            self.unsettled = sum(self.unsettled, above(committed, claimed));
            self.exposure = sum(self.exposure, above(used, claimed));
        }
    }
}

fn above(amount: Amount, claimed: Amount) -> Amount {
    amount.checked_sub(claimed).unwrap_or(Amount::ZERO)
}

fn sum(one: Amount, other: Amount) -> Amount {
    one.checked_add(other).unwrap_or(Amount::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ledger::{Request, Reservation};
    use crate::server::testing::{LIMITS, authority, channel_account, signer_id};
    use amp_protocol::money::Seq;

    fn admitted(ledger: &mut ChannelLedger, seq: u64, price: u64) -> Reservation {
        let (signer, authority, price) = (signer_id(), authority(), Amount::new(price));
        let request =
            Request { signer, authority, seq: Seq::new(seq), sig: [1; 64], price, key: None, metered: false };
        ledger.admit(&channel_account(), &request, &LIMITS, 1_000).unwrap()
    }

    fn stake(ledger: &mut ChannelLedger, seen: u64) -> (u64, u64, u64) {
        let mut account = channel_account();
        account.signer.claimed = Amount::new(seen);
        ledger.has_seen_claimed(&account);
        let Stake { unsettled, exposure, given_up } = ledger.stake();
        (unsettled.get(), exposure.get(), given_up.get())
    }

    #[test]
    fn a_price_is_exposure_from_its_admission_and_unsettled_from_its_commit() {
        let mut ledger = ChannelLedger::default();
        let reservation = admitted(&mut ledger, 100, 60);
        assert_eq!(stake(&mut ledger, 0), (0, 60, 0));
        let record = ledger.charge(&reservation, Amount::new(40), 7).unwrap();
        assert_eq!(stake(&mut ledger, 0), (0, 40, 0));
        ledger.committed_record(&reservation, record);
        assert_eq!(stake(&mut ledger, 0), (40, 40, 0));
        admitted(&mut ledger, 99, 5);
        assert_eq!(stake(&mut ledger, 0), (40, 45, 0));
        assert_eq!(stake(&mut ledger, 30), (10, 15, 0), "what a look saw claimed is not at stake");
        assert_eq!(stake(&mut ledger, 41), (0, 4, 0));
        ledger.note_claimed(&signer_id(), Amount::new(40));
        assert_eq!(stake(&mut ledger, 30), (0, 5, 0), "nor what was settled since");
        let mut other = channel_account();
        (other.opened_slot, other.signer.claimed) = (1, Amount::MAX);
        ledger.has_seen_claimed(&other);
        assert_eq!(ledger.stake().exposure, Amount::new(5), "one signer's claims alone");
    }

    #[test]
    fn what_is_given_up_is_neither_unsettled_nor_exposure() {
        let mut ledger = ChannelLedger::default();
        let reservation = admitted(&mut ledger, 100, 60);
        let record = ledger.charge(&reservation, Amount::new(60), 7).unwrap();
        ledger.committed_record(&reservation, record);
        ledger.note_claimed(&signer_id(), Amount::new(20));
        ledger.give_up(&signer_id());
        assert_eq!(stake(&mut ledger, 0), (0, 0, 40));
    }
}
