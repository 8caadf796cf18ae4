use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;

use super::account::{ChannelLedger, SignerAccount, SignerRecord};
use super::admit::{Limits, Refusal, Request};
use super::authority::SignerId;

/// Seconds after which a request is worth another try that was refused because too many owe. What ended
/// is settled as soon as the service looks, which such a refusal makes it do.
const RETRY_CROWDED: u64 = 10;

/// Who owes more than the chain is known to have paid: each of them costs a transaction of its own.
impl ChannelLedger {
    /// The records of all signers that owe something which can still be collected.
    pub(crate) fn uncollected(&self, account: &ChannelAccount) -> Vec<SignerRecord> {
        let owes = |(id, signer): (&SignerId, &SignerAccount)| {
            let claimed = self.known_claims(account, id, signer);
            let owed = signer.committed.as_ref().filter(|committed| committed.spent > claimed);
            owed.filter(|_| !signer.given_up).map(|owed| SignerRecord::clone(owed))
        };
        self.signers.iter().filter_map(owes).collect()
    }

    /// Whether a settlement could bring something, as far as can be told without a look at the chain.
    pub(crate) fn may_owe(&self) -> bool {
        let owes = |signer: &SignerAccount| {
            let committed = signer.committed.as_ref();
            !signer.given_up && committed.is_some_and(|committed| committed.spent > signer.claimed)
        };
        self.signers.iter().map(|(_, signer)| signer).any(owes)
    }

    /// Keeps a delegate from beginning to owe while too many others do.
    ///
    /// Delegates that ended make room for new ones, at the funder's word. Without this bound a funder
    /// could make, use once and revoke any number of them, and the service would have a settlement to
    /// make for each before a grace is over: more than it can, or than it is worth.
    pub(super) fn check_crowd(
        &self,
        account: &ChannelAccount,
        signer: &SignerAccount,
        request: &Request,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        if request.authority.delegation().is_none() || self.owes(account, &request.signer, signer) {
            return Ok(());
        }
        let others = self.signers.iter().filter(|(id, _)| **id != request.signer);
        let owing = others.filter(|(id, other)| self.owes(account, id, other)).count();
        if owing > limits.max_owing {
            return Err(Refusal::Crowded { price: request.price, owing, retry_after: RETRY_CROWDED });
        }
        Ok(())
    }

    /// Whether a signer owes, or will once what is in flight is charged.
    fn owes(&self, account: &ChannelAccount, id: &SignerId, signer: &SignerAccount) -> bool {
        let claimed = self.known_claims(account, id, signer);
        let committed = signer.committed.as_ref().map_or(Amount::ZERO, |committed| committed.spent);
        let used = signer.live.spent.max(committed).checked_add(signer.reserved);
        !signer.given_up && used.is_none_or(|used| used > claimed)
    }

    /// Takes note that a delegate's delegation is not on chain at `now`; returns since when.
    pub(crate) fn note_missing(&mut self, id: &SignerId, now: i64) -> i64 {
        let signer = self.signers.get_mut(id);
        signer.map_or(now, |signer| *signer.missing_since.get_or_insert(now))
    }

    /// Takes note that a settlement of the signer failed.
    pub(crate) fn note_failed(&mut self, id: &SignerId) {
        if let Some(signer) = self.signers.get_mut(id) {
            signer.failures = signer.failures.saturating_add(1);
        }
    }

    /// Settlements of the signer that failed since the last one that did not.
    pub(crate) fn failures(&self, id: &SignerId) -> u32 {
        self.signers.get(id).map_or(0, |signer| signer.failures)
    }

    /// Whether the last settlement of a signer failed that still owes.
    pub(crate) fn has_failed(&self) -> bool {
        self.signers.iter().any(|(_, signer)| signer.failures > 0 && !signer.given_up)
    }

    /// What the signer owes can't be collected any more: it is not looked for again by this process,
    /// unless it is served once more. Returns how much that is.
    pub(crate) fn give_up(&mut self, id: &SignerId) -> Amount {
        let Some(signer) = self.signers.get_mut(id) else { return Amount::ZERO };
        signer.given_up = true;
        let spent = signer.committed.as_ref().map_or(Amount::ZERO, |committed| committed.spent);
        spent.checked_sub(signer.claimed).unwrap_or(Amount::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ledger::Authority;
    use crate::server::testing::{LIMITS, channel_account, delegation_account};
    use amp_protocol::money::Seq;

    const PRICE: Amount = Amount::new(30);

    fn id(key: u8) -> SignerId {
        SignerId::delegate(&delegation_account([key; 32], 1))
    }

    fn by_delegate(key: u8, seq: u64) -> Request {
        let authority = Authority::Delegation(delegation_account([key; 32], 1_000).delegation);
        Request {
            signer: id(key),
            authority,
            seq: Seq::new(seq),
            sig: [0; 64],
            price: PRICE,
            key: None,
            metered: false,
        }
    }

    fn now() -> i64 {
        channel_account().books.window.started_at
    }

    fn admit(ledger: &mut ChannelLedger, request: &Request, max_owing: usize) -> Result<(), Refusal> {
        ledger.admit(&channel_account(), request, &Limits { max_owing, ..LIMITS }, now()).map(drop)
    }

    fn spend(ledger: &mut ChannelLedger, key: u8) {
        let account = channel_account();
        let reservation = ledger.admit(&account, &by_delegate(key, 90), &LIMITS, now()).unwrap();
        let record = ledger.charge(&reservation, PRICE, 1).unwrap();
        ledger.committed_record(&reservation, record);
    }

    #[test]
    fn who_is_collected_from_is_not_looked_for_again_until_it_spends() {
        let account = channel_account();
        let mut ledger = ChannelLedger::default();
        let reservation = ledger.admit(&account, &by_delegate(7, 90), &LIMITS, now()).unwrap();
        assert!(ledger.uncollected(&account).is_empty(), "nothing is on disk");
        let record = ledger.charge(&reservation, PRICE, 1).unwrap();
        ledger.committed_record(&reservation, record);
        assert_eq!(ledger.uncollected(&account).len(), 1);
        ledger.note_claimed(&id(7), Amount::new(29));
        assert_eq!(ledger.uncollected(&account).len(), 1);
        assert!(ledger.may_owe());
        ledger.note_claimed(&id(7), Amount::new(30));
        assert!(ledger.uncollected(&account).is_empty() && !ledger.may_owe());
    }

    #[test]
    fn no_delegate_begins_to_owe_while_too_many_others_do() {
        let mut ledger = ChannelLedger::default();
        for key in 1..=3 {
            spend(&mut ledger, key);
        }
        let refused = Refusal::Crowded { price: PRICE, owing: 3, retry_after: RETRY_CROWDED };
        assert_eq!(admit(&mut ledger, &by_delegate(4, 90), 2), Err(refused));
        assert_eq!(admit(&mut ledger, &by_delegate(4, 90), 3), Ok(()));
        let refused = Refusal::Crowded { price: PRICE, owing: 4, retry_after: RETRY_CROWDED };
        assert_eq!(admit(&mut ledger, &by_delegate(5, 90), 3), Err(refused), "what is in flight counts");
    }

    #[test]
    fn whoever_owes_already_and_the_authorized_signer_are_never_crowded_out() {
        let account = channel_account();
        let mut ledger = ChannelLedger::default();
        for key in 1..=3 {
            spend(&mut ledger, key);
        }
        assert_eq!(admit(&mut ledger, &by_delegate(1, 91), 0), Ok(()));
        let (signer, authority) = (SignerId::authorized(&account), Authority::channel(&account));
        assert_eq!(admit(&mut ledger, &Request { signer, authority, ..by_delegate(0, 90) }, 0), Ok(()));
        let raise = Request { price: Amount::ZERO, ..by_delegate(4, 90) };
        assert_eq!(admit(&mut ledger, &raise, 0), Ok(()), "it begins to owe nothing");
    }

    #[test]
    fn a_settlement_makes_room_and_so_does_what_is_given_up() {
        let mut ledger = ChannelLedger::default();
        for key in 1..=2 {
            spend(&mut ledger, key);
        }
        assert!(admit(&mut ledger, &by_delegate(3, 90), 1).is_err());
        ledger.note_claimed(&id(1), PRICE);
        assert_eq!(admit(&mut ledger, &by_delegate(3, 90), 1), Ok(()));
        assert!(admit(&mut ledger, &by_delegate(4, 90), 1).is_err());
        ledger.give_up(&id(2));
        assert_eq!(admit(&mut ledger, &by_delegate(4, 90), 1), Ok(()));
    }

    #[test]
    fn what_is_given_up_is_not_looked_for_until_its_signer_is_served_again() {
        let account = channel_account();
        let mut ledger = ChannelLedger::default();
        spend(&mut ledger, 1);
        ledger.note_claimed(&id(1), Amount::new(10));
        assert_eq!(ledger.give_up(&id(1)), Amount::new(20));
        assert!(ledger.uncollected(&account).is_empty());
        assert_eq!(ledger.owed_total(&account), Some(PRICE), "a close statement still asks for it");
        assert_eq!(admit(&mut ledger, &by_delegate(1, 91), 0), Ok(()));
        assert_eq!(ledger.uncollected(&account).len(), 1);
    }

    #[test]
    fn failures_are_counted_until_a_settlement_is_booked() {
        let mut ledger = ChannelLedger::default();
        spend(&mut ledger, 1);
        ledger.note_failed(&id(1));
        ledger.note_failed(&id(1));
        ledger.note_claimed(&id(1), Amount::ZERO);
        assert_eq!((ledger.failures(&id(1)), ledger.has_failed()), (2, true));
        ledger.note_claimed(&id(1), Amount::new(1));
        assert_eq!((ledger.failures(&id(1)), ledger.has_failed()), (0, false));
        ledger.note_failed(&id(1));
        ledger.give_up(&id(1));
        assert!(!ledger.has_failed());
    }
}
