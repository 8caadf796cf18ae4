use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use solana_address::Address;
use solana_signature::Signature;

use super::claim::{self, Claim};
use super::transaction::Sender;
use super::visit::Visit;
use crate::chain::{self, ChainError, Confirmation, Plan};
use crate::server::books::Book;
use crate::server::channels::{Channel, View};
use crate::server::denial::Denial;
use crate::server::service::{Core, incarnation};
use crate::server::views::Freshness;

/// Seconds until a funder without a token account is looked at again.
const NO_REFUND_ACCOUNT: u64 = 3_600;

pub(super) fn sender(core: &Core) -> Sender {
    Sender {
        program_id: core.config.program_id,
        recipient: core.recipient,
        token_program: core.token_program,
        priority_fee: core.config.priority_fee,
    }
}

pub(super) async fn send(core: &Core, plan: &Plan) -> Result<Confirmation, ChainError> {
    plan.send(&*core.chain, &[&*core.config.recipient]).await
}

/// A settlement that the chain has booked.
pub(super) struct Booked {
    pub(super) paid: Amount,
    pub(super) transaction: Option<Signature>,
    pub(super) after: View,
}

/// Claims `owed` (cumulative) of one signer.
pub(super) async fn settle(
    core: &Core,
    book: &Book,
    account: &ChannelAccount,
    claim: &Claim,
    owed: Amount,
) -> Result<Booked, Visit> {
    let (channel, id) = (book.incarnation.channel, claim.signer());
    let unreachable = |error| Visit::Failed(Denial::chain(&error));
    let sender = sender(core);
    let payout = sender.payout_account(account.mint);
    // lamports that a stranger sent there are no token account
    let exists = chain::has_token_account(&*core.chain, &payout).await.map_err(unreachable)?;
    let (record, delegation) = (&claim.record, claim.delegation.as_ref());
    let sent = send(core, &sender.settle(channel, account, record, delegation, owed, !exists)).await;
    // whatever the sending says, what the chain has booked counts: a transaction that was not seen
    // confirmed may have landed, and sending the same claim again can't be paid twice
    let after = core.channels.get(channel, Freshness::Now).await.map_err(unreachable)?;
    let after = after.filter(|account| incarnation(channel, account) == book.incarnation);
    let transaction = match sent {
        Ok(confirmation) => Some(confirmation.signature),
        Err(error) => {
            let claimed = claimed_of(core, book, claim, after.as_deref()).await.map_err(unreachable)?;
            if claimed.is_none_or(|claimed| claimed < owed) {
                return Err(failed(book, account, &error, core.time.now()));
            }
            None
        }
    };
    note_claimed(core, book, claim, owed, after.as_deref()).await;
    let paid = owed.checked_sub(claim.authority.books().claimed).unwrap_or(Amount::ZERO);
    let signer = Address::from(id.key);
    tracing::info!(channel = %book.incarnation, %signer, %paid, %owed, "settled");
    Ok(Booked { paid, transaction, after })
}

/// What the chain says now was claimed of the claim's signer, where `after` is the channel as it is now.
pub(super) async fn claimed_of(
    core: &Core,
    book: &Book,
    claim: &Claim,
    after: Option<&Channel>,
) -> Result<Option<Amount>, ChainError> {
    if claim.delegation.is_none() {
        return Ok(after.map(|after| after.signer.claimed));
    }
    let (_, found) = claim::authority(core, book, &claim.signer()).await?;
    Ok(found.map(|found| found.books().claimed))
}

/// Takes note that the chain has booked `owed` (cumulative) of the claim's signer.
pub(super) async fn note_claimed(
    core: &Core,
    book: &Book,
    claim: &Claim,
    owed: Amount,
    after: Option<&Channel>,
) {
    book.ledger().note_claimed(&claim.signer(), owed);
    if let Some(after) = after
        && let Err(error) = core.store.book_claimed(book.incarnation, after.books.claimed).await
    {
        tracing::error!(%error, channel = %book.incarnation, "what was claimed could not be noted");
    }
}

fn failed(book: &Book, account: &ChannelAccount, error: &ChainError, now: i64) -> Visit {
    tracing::warn!(%error, channel = %book.incarnation, "not settled");
    let interval = account.terms.settle_interval;
    match error.rejection() {
        // the chain's clock is behind ours
        Some(Rejection::SettleEarly) => Visit::wait(now.saturating_add(1), now, Code::SettleEarly),
        Some(Rejection::RateExceeded) => {
            let window = account.books.window.at(now, interval);
            let until = window.map_or(now, |window| window.ends_at(interval));
            Visit::wait(until, now, Code::RateExceeded)
        }
        _ => Visit::Failed(Denial::unavailable("the settlement was not confirmed; it will be tried again")),
    }
}

/// Closes a channel whose funder did not do so in time.
pub(super) async fn close(core: &Core, book: &Book, account: &ChannelAccount) -> Visit {
    let (channel, sender) = (book.incarnation.channel, sender(core));
    match chain::has_token_account(&*core.chain, &sender.refund_account(account)).await {
        Ok(true) => {}
        // what is owed is settled, and the rest is the funder's to fetch: paying the rent of its token
        // account would be a gift that it can ask for again and again
        Ok(false) => return Visit::Wait { seconds: NO_REFUND_ACCOUNT, code: Code::Closed },
        Err(error) => return Visit::Failed(Denial::chain(&error)),
    }
    // the close names the address alone. First no other incarnation is served any more, then it is seen
    // that none has been until now: the other way round, one that opens in between would be served and
    // then closed, unpaid
    book.close_is_sent();
    match core.channels.get(channel, Freshness::Now).await {
        Ok(Some(now)) if incarnation(channel, &now) == book.incarnation => {}
        Ok(_) => return Visit::Gone,
        Err(error) => return Visit::Failed(Denial::chain(&error)),
    }
    let sent = send(core, &sender.close(channel, account)).await;
    match core.channels.get(channel, Freshness::Now).await {
        Ok(None) => {
            tracing::info!(channel = %book.incarnation, "closed; the funder had not done so in time");
            Visit::Idle
        }
        _ => match sent {
            Ok(_) => Visit::Idle,
            Err(error) => {
                tracing::warn!(%error, channel = %book.incarnation, "not closed");
                Visit::Failed(Denial::unavailable("the close was not confirmed; it will be tried again"))
            }
        },
    }
}
