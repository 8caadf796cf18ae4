use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;

use super::account::{ChannelLedger, SignerAccount};
use super::authority::SignerId;

impl ChannelLedger {
    /// Whether the chain's claims of delegates were held against these books.
    ///
    /// Once is enough: what is claimed after that is claimed by this service, out of these books. Where
    /// delegates were never claimed from, there is nothing to hold.
    pub(crate) fn claims_are_noted(&mut self, account: &ChannelAccount) -> bool {
        if account.books.claimed == account.signer.claimed {
            self.noted_claims = self.noted_claims.max(Some(account.books.claimed));
        }
        self.noted_claims.is_some()
    }

    /// What the chain had paid out in all when its claims were last held against these books.
    pub(crate) fn noted_claims(&self) -> Option<Amount> {
        self.noted_claims
    }

    /// Holds what the chain has paid on each delegate's credentials against these books. A store that
    /// was lost or set back knows of less: whoever paid it is taken up, and what it paid counts as spent.
    /// Otherwise the deposit would be served a second time, and the claims of forgotten delegates
    /// would make room in the rate window for what can't be claimed.
    ///
    /// `claimed` holds every delegate of this incarnation that is on chain, **as of the same moment as the
    /// account**: a settlement between the two would be taken for a forgotten claim, or hide one. What those do
    /// not explain was claimed from delegations that are closed.
    pub(crate) fn note_claims(
        &mut self,
        account: &ChannelAccount,
        claimed: &[(SignerId, Amount)],
        seq_window: u32,
    ) {
        let Ok(unit_price) = account.terms.unit_price() else { return };
        for (id, claimed) in claimed.iter().filter(|(_, claimed)| !claimed.is_zero()) {
            if !self.signers.contains_key(id) {
                self.signers.insert(*id, SignerAccount::new(*id, *claimed, unit_price, seq_window));
            }
            self.note_claimed_by(id, *claimed);
        }
        let authorized = SignerId::authorized(account);
        let listed =
            |id: &SignerId| claimed.iter().find(|(listed, _)| listed == id).map(|(_, claimed)| *claimed);
        let explained = self.signers.iter().filter(|(id, _)| **id != authorized).map(|(id, signer)| {
            // as the chain was when it had paid what the account says, whatever was claimed since. Of a
            // delegation that is closed, all that was spent may have been claimed
            listed(id).unwrap_or(signer.live.spent)
        });
        let explained = explained.chain([account.signer.claimed]).try_fold(Amount::ZERO, Amount::checked_add);
        let forgotten = explained.and_then(|explained| account.books.claimed.checked_sub(explained));
        if forgotten == Some(Amount::ZERO) {
            // all that was spent was claimed, to the unit: whose delegation is closed owes nothing, and
            // nobody needs to look for it
            for (id, signer) in self.signers.iter_mut().filter(|(id, _)| **id != authorized) {
                if !claimed.iter().any(|(listed, _)| listed == id) {
                    signer.note_claimed(signer.live.spent);
                }
            }
        }
        self.claimed_by_forgotten = forgotten.unwrap_or(Amount::ZERO);
        self.noted_claims = self.noted_claims.max(Some(account.books.claimed));
    }

    fn note_claimed_by(&mut self, id: &SignerId, claimed: Amount) {
        if let Some(signer) = self.signers.get_mut(id) {
            signer.note_claimed(claimed);
        }
    }

    /// Takes note of what the chain has paid on one signer's credentials.
    pub(crate) fn note_claimed(&mut self, id: &SignerId, claimed: Amount) {
        if let Some(signer) = self.signers.get_mut(id) {
            signer.note_claimed(claimed);
            signer.missing_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ledger::{Authority, Refusal, Request, SignerRecord};
    use crate::server::testing::{LIMITS, channel_account, delegation_account};
    use amp_protocol::money::Seq;

    const DELEGATE: [u8; 32] = [7; 32];

    /// Deposit 1000, of which a delegate's 600 were claimed in an earlier window.
    fn account() -> ChannelAccount {
        let mut account = channel_account();
        (account.books.deposited, account.books.claimed) = (Amount::new(1_000), Amount::new(600));
        account.terms.rate_limit = 500;
        account
    }

    fn by_authorized_signer(account: &ChannelAccount, price: u64) -> Request {
        let (signer, authority) = (SignerId::authorized(account), Authority::channel(account));
        Request {
            signer,
            authority,
            seq: Seq::new(900),
            sig: [0; 64],
            price: Amount::new(price),
            key: None,
            metered: false,
        }
    }

    fn id() -> SignerId {
        SignerId::delegate(&delegation_account(DELEGATE, 1))
    }

    /// What a ledger without any record makes of a price, after it was told what delegates were claimed.
    fn served(claims: &[(SignerId, Amount)], price: u64) -> Result<(), Refusal> {
        let (account, mut ledger) = (account(), ChannelLedger::default());
        assert!(!ledger.claims_are_noted(&account));
        ledger.note_claims(&account, claims, 64);
        assert!(ledger.claims_are_noted(&account));
        let now = account.books.window.started_at;
        ledger.admit(&account, &by_authorized_signer(&account, price), &LIMITS, now).map(drop)
    }

    #[test]
    fn a_lost_store_serves_no_deposit_a_second_time_whoever_it_was_claimed_from() {
        for claims in [&[(id(), Amount::new(600))][..], &[], &[(id(), Amount::new(100))]] {
            assert_eq!(served(claims, 400), Ok(()));
            let refused = served(claims, 401).unwrap_err();
            assert!(
                matches!(refused, Refusal::Balance { balance, .. } if balance == Amount::new(400)),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_settlement_that_the_account_does_not_show_yet_hides_no_forgotten_claim() {
        let account = account();
        let Ok(unit_price) = account.terms.unit_price() else { panic!() };
        let record = SignerRecord::new(id(), Amount::new(50), unit_price, 64);
        let mut ledger = ChannelLedger::restore(vec![record], None, None);
        ledger.note_claimed(&id(), Amount::new(50));
        ledger.note_claims(&account, &[(id(), Amount::ZERO)], 64);
        assert_eq!(ledger.spent_total(&account), Some(Amount::new(650)));
    }

    #[test]
    fn forgotten_claims_make_no_room_in_the_rate_window() {
        let mut account = account();
        account.books.deposited = Amount::new(10_000);
        let mut ledger = ChannelLedger::default();
        ledger.note_claims(&account, &[(id(), Amount::new(600))], 64);
        let now = account.books.window.started_at;
        let mut at = |price| ledger.admit(&account, &by_authorized_signer(&account, price), &LIMITS, now);
        assert!(matches!(at(501), Err(Refusal::Rate { .. })));
        assert!(at(500).is_ok());
    }

    #[test]
    fn a_close_after_a_lost_store_owes_what_was_claimed_and_what_was_served_since() {
        let account = account();
        let mut ledger = ChannelLedger::default();
        ledger.note_claims(&account, &[(id(), Amount::new(500))], 64);
        let request = by_authorized_signer(&account, 100);
        let reservation = ledger.admit(&account, &request, &LIMITS, account.books.window.started_at).unwrap();
        let record = ledger.charge(&reservation, Amount::new(100), 1).unwrap();
        ledger.committed_record(&reservation, record);
        assert_eq!(ledger.owed_total(&account), Some(Amount::new(700)));
        assert_eq!(ledger.balance(&account), Amount::new(300));
    }

    #[test]
    fn a_delegation_that_was_collected_from_and_closed_is_counted_once_after_a_restart() {
        let account = account();
        let Ok(unit_price) = account.terms.unit_price() else { panic!() };
        let record = SignerRecord::new(id(), Amount::new(600), unit_price, 64);
        let mut ledger = ChannelLedger::restore(vec![record], None, None);
        ledger.note_claims(&account, &[], 64);
        assert_eq!(ledger.spent_total(&account), Some(Amount::new(600)));
        assert!(ledger.uncollected(&account).is_empty(), "nobody looks for it");
    }

    #[test]
    fn a_closed_delegation_is_looked_for_after_a_restart_where_it_may_not_have_paid_all() {
        let account = account();
        let Ok(unit_price) = account.terms.unit_price() else { panic!() };
        for spent in [599, 601] {
            let record = SignerRecord::new(id(), Amount::new(spent), unit_price, 64);
            let mut ledger = ChannelLedger::restore(vec![record], None, None);
            ledger.note_claims(&account, &[], 64);
            assert_eq!(ledger.uncollected(&account).len(), 1, "{spent}");
        }
    }
}
