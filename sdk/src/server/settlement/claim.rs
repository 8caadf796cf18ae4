use amp_protocol::account::ChannelAccount;
use solana_address::Address;
use tokio::time::timeout;

use super::settler::GONE_FOR_GOOD;
use crate::chain::{self, ChainError, delegation_address};
use crate::server::books::Book;
use crate::server::ledger::{Authority, SignerId, SignerRecord};
use crate::server::service::Core;
use crate::server::views::READ_WAIT;

/// What one signer owes, and by what right it is claimed.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) record: SignerRecord,
    pub(super) authority: Authority,
    /// Where a delegate's delegation stands.
    pub(super) delegation: Option<Address>,
}

impl Claim {
    pub(super) fn signer(&self) -> SignerId {
        SignerId { key: self.record.signer, epoch: self.record.epoch }
    }
}

/// What came of looking for what is owed.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The most urgent first: what ends soonest.
    pub(super) claims: Vec<Claim>,
    /// A delegation could not be read.
    pub(super) failed: Option<ChainError>,
    /// Unix seconds until which a delegation that is not there may turn up.
    pub(super) missing_until: Option<i64>,
}

/// What the signers of a channel owe beyond what the chain is known to have paid. Each delegation is
/// read anew, so that a revocation is noticed here, however long requests still see it live.
pub(super) async fn find(core: &Core, book: &Book, account: &ChannelAccount, now: i64) -> Found {
    let authorized = SignerId::authorized(account);
    let mut found = Found::default();
    let owing = book.ledger().uncollected(account);
    for record in owing {
        let id = SignerId { key: record.signer, epoch: record.epoch };
        if id == authorized {
            found.claims.push(Claim { record, authority: Authority::channel(account), delegation: None });
            continue;
        }
        match authority(core, book, &id).await {
            Ok((address, Some(authority))) => {
                book.ledger().note_claimed(&id, authority.books().claimed);
                found.claims.push(Claim { record, authority, delegation: Some(address) });
            }
            Ok((address, None)) => {
                let since = book.ledger().note_missing(&id, now);
                if since == now {
                    tracing::error!(channel = %book.incarnation, delegation = %address,
                        "a delegation that owes something is not on chain");
                }
                let until = since.saturating_add_unsigned(GONE_FOR_GOOD.as_secs());
                found.missing_until = found.missing_until.max(Some(until));
            }
            Err(error) => found.failed = Some(error),
        }
    }
    found.claims.sort_by_key(|claim| claim.authority.ends_at().unwrap_or(i64::MAX));
    found
}

/// The authority of a delegate as it is on chain now, if it is the one of this epoch.
pub(super) async fn authority(
    core: &Core,
    book: &Book,
    id: &SignerId,
) -> Result<(Address, Option<Authority>), ChainError> {
    let (program_id, channel) = (&core.config.program_id, Address::from(book.incarnation.channel));
    let address = delegation_address(program_id, &channel, &Address::from(id.key));
    let read = chain::delegation(&*core.chain, program_id, &address);
    let slow = |_| Err(ChainError::Unreachable("no answer in time".to_owned()));
    let account = timeout(READ_WAIT, read).await.unwrap_or_else(slow)?;
    let account = account.filter(|account| {
        account.channel_opened_slot == book.incarnation.opened_slot && SignerId::delegate(account) == *id
    });
    Ok((address, account.map(|account| Authority::Delegation(account.delegation))))
}
