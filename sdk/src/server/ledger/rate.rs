use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;
use amp_protocol::rules::{SignerBooks, settleable_from};

use super::account::{ChannelLedger, SignerAccount};
use super::admit::{Refusal, Request};
use super::authority::SignerId;

impl ChannelLedger {
    /// Holds `wanted` (spent and reserved by all signers, the price included) against what the window
    /// still allows. All signers share it: what is unclaimed of all of them must fit.
    pub(super) fn check_rate(
        &self,
        account: &ChannelAccount,
        signer: &SignerAccount,
        request: &Request,
        wanted: Amount,
        now: i64,
    ) -> Result<(), Refusal> {
        let (terms, books, price) = (&account.terms, &account.books, request.price);
        let (limit, interval) = (terms.rate_limit(), terms.settle_interval);
        let unclaimed = wanted.checked_sub(books.claimed).unwrap_or(Amount::ZERO);
        let refuse = |until: i64, fits| {
            let retry_after = u64::try_from(until.saturating_sub(now)).unwrap_or_default().max(1);
            Err(Refusal::Rate { price, retry_after, fits })
        };
        let Ok(window) = books.window.at(now, interval) else { return refuse(now, true) };
        if unclaimed <= window.allowance(limit) {
            return Ok(());
        }
        let next = window.ends_at(interval);
        // settling within a window frees nothing in it: claim and allowance shrink together. So what is
        // unclaimed when the next one begins weighs on that one, unless it can be settled before
        let left = self.left_at(next, account, signer, request, unclaimed);
        if price > limit {
            refuse(next, false)
        } else if left <= limit {
            refuse(next, true)
        } else {
            refuse(next.saturating_add(i64::from(interval)), true)
        }
    }

    /// What of `unclaimed` may not be settled before `next`. Only of the authorized signer and of the one
    /// who asks is it known when they may be: of all others nothing, so that nobody comes too early.
    fn left_at(
        &self,
        next: i64,
        account: &ChannelAccount,
        signer: &SignerAccount,
        request: &Request,
        unclaimed: Amount,
    ) -> Amount {
        let owed_before = |signer: &SignerAccount, books: &SignerBooks| {
            if settleable_from(books, account.terms.settle_interval) >= next {
                return Amount::ZERO;
            }
            let used = signer.live.spent.checked_add(signer.reserved);
            used.and_then(|used| used.checked_sub(books.claimed)).unwrap_or(Amount::ZERO)
        };
        let authorized = SignerId::authorized(account);
        let other = self.signers.get(&authorized).filter(|_| request.signer != authorized);
        let others = other.map_or(Amount::ZERO, |other| owed_before(other, &account.signer));
        let settled = owed_before(signer, request.authority.books()).checked_add(others);
        settled.and_then(|settled| unclaimed.checked_sub(settled)).unwrap_or(Amount::ZERO)
    }
}
