use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use solana_address::Address;

use crate::chain::{self, ChainError, MAX_ACCOUNTS_AT_ONCE, delegation_address};
use crate::server::bookkeeping::finish_streams;
use crate::server::books::Book;
use crate::server::ledger::{Authority, SignerId, SignerRecord};
use crate::server::service::Core;
use crate::server::views::in_time;

/// How long a channel or a delegation must be gone before what it owes is given up: a node may lag, or
/// hold nothing yet, for longer than a watch takes.
pub(super) const GONE_FOR_GOOD: Duration = Duration::from_secs(600);

/// How long every look must have found a channel gone before it is.
pub(super) fn patience(core: &Core) -> Duration {
    core.config.watch_interval.saturating_mul(2).max(GONE_FOR_GOOD)
}

/// What one signer owes, and by what right it is claimed.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) record: SignerRecord,
    pub(super) authority: Authority,
    /// Where a delegate's delegation stands.
    pub(super) delegation: Option<Address>,
    /// It goes into a transaction of its own: the last one it was in failed, and may have failed because of it.
    pub(super) alone: bool,
}

impl Claim {
    pub(super) fn signer(&self) -> SignerId {
        id_of(&self.record)
    }
}

/// What came of looking for what is owed.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The most urgent first: of those whose last settlements did not fail what ends soonest. So no number
    /// of signers that can't be settled keeps a visit from all others.
    pub(super) claims: Vec<Claim>,
    /// A delegation could not be read.
    pub(super) failed: Option<ChainError>,
    /// Unix seconds until which a delegation that is not there may turn up.
    pub(super) missing_until: Option<i64>,
}

/// What the signers of a channel owe beyond what the chain is known to have paid. Each delegation is
/// read anew, so that a revocation is noticed here, however long requests still see it live.
pub(super) async fn find(core: &Core, book: &Book, account: &ChannelAccount, now: i64) -> Found {
    if account.books.closing {
        // what has left of streams can be claimed within the grace, and not after it
        finish_streams(book).await;
    }
    let authorized = SignerId::authorized(account);
    let mut found = Found::default();
    let (own, delegates): (Vec<_>, Vec<_>) =
        book.ledger().uncollected(account).into_iter().partition(|record| id_of(record) == authorized);
    for record in own {
        let authority = Authority::channel(account);
        found.claims.push(Claim { record, authority, delegation: None, alone: false });
    }
    for some in delegates.chunks(MAX_ACCOUNTS_AT_ONCE) {
        let ids: Vec<SignerId> = some.iter().map(id_of).collect();
        let reads = match authorities(core, book, &ids).await {
            Ok(reads) => reads,
            Err(error) => {
                found.failed = Some(error);
                continue;
            }
        };
        for ((record, id), read) in some.iter().zip(&ids).zip(reads) {
            match read {
                Ok((address, authority)) => found.note(book, account, record, id, address, authority, now),
                Err(error) => found.failed = Some(error),
            }
        }
    }
    let ledger = book.ledger();
    for claim in &mut found.claims {
        claim.alone = ledger.failures(&claim.signer()) > 0;
    }
    found.claims.sort_by_cached_key(|claim| {
        (ledger.failures(&claim.signer()), claim.authority.ends_at().unwrap_or(i64::MAX))
    });
    drop(ledger);
    found
}

fn id_of(record: &SignerRecord) -> SignerId {
    SignerId { key: record.signer, epoch: record.epoch }
}

impl Found {
    /// Takes note of a delegate that owes, by what is at its delegation's address.
    #[allow(clippy::too_many_arguments, reason = "what was read, of whom, and when")]
    fn note(
        &mut self,
        book: &Book,
        account: &ChannelAccount,
        record: &SignerRecord,
        id: &SignerId,
        address: Address,
        authority: Option<Authority>,
        now: i64,
    ) {
        // neither one look at a node that lags nor a clock that is off gives anything up
        let long_ago = now.saturating_sub_unsigned(GONE_FOR_GOOD.as_secs());
        let Some(authority) = authority else {
            let since = book.ledger().note_missing(id, now);
            if since <= long_ago {
                return give_up(book, id, address, "its delegation is gone");
            }
            if since == now {
                tracing::error!(channel = %book.incarnation, delegation = %address,
                    "a delegation that owes something is not on chain");
            }
            let until = since.saturating_add_unsigned(GONE_FOR_GOOD.as_secs());
            self.missing_until = self.missing_until.max(Some(until));
            return;
        };
        book.ledger().note_claimed(id, authority.books().claimed);
        let grace = account.terms.close_grace;
        if authority.delegation().is_some_and(|found| found.is_over(grace, long_ago)) {
            return give_up(book, id, address, "its grace is over");
        }
        let (record, delegation) = (record.clone(), Some(address));
        self.claims.push(Claim { record, authority, delegation, alone: false });
    }
}

/// Nothing can be collected any more: it is said once, and not looked for at every visit.
fn give_up(book: &Book, id: &SignerId, delegation: Address, why: &str) {
    let amount = book.ledger().give_up(id);
    if !amount.is_zero() {
        let (channel, signer) = (book.incarnation, Address::from(id.key));
        tracing::error!(%channel, %signer, %delegation, %amount, "what a delegate owes is lost: {why}");
    }
}

/// Where a delegation stands, and the authority it gives now, if it is the one of the epoch asked for.
pub(super) type Read = Result<(Address, Option<Authority>), ChainError>;

/// The authorities of delegates as they are on chain now, in their order.
pub(super) async fn authorities(core: &Core, book: &Book, ids: &[SignerId]) -> Result<Vec<Read>, ChainError> {
    let (program_id, channel) = (&core.program_id, Address::from(book.incarnation.channel));
    let at = |id: &SignerId| delegation_address(program_id, &channel, &Address::from(id.key));
    let addresses: Vec<Address> = ids.iter().map(at).collect();
    let read = chain::delegations_at(&*core.chain, program_id, &addresses);
    let found = in_time(read).await?;
    let all = ids.iter().zip(addresses).zip(found);
    let reads = all.map(|((id, address), read)| {
        let account = read?.filter(|account| {
            account.channel_opened_slot == book.incarnation.opened_slot && SignerId::delegate(account) == *id
        });
        Ok((address, account.map(|account| Authority::Delegation(account.delegation))))
    });
    Ok(reads.collect())
}

/// The authority of one delegate.
pub(super) async fn authority(core: &Core, book: &Book, id: &SignerId) -> Read {
    let unanswered = || Err(ChainError::Unreachable("no answer".to_owned()));
    authorities(core, book, &[*id]).await?.pop().unwrap_or_else(unanswered)
}
