use std::collections::{BTreeMap, BTreeSet};

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use solana_address::Address;
use solana_signature::Signature;
use tokio::time::{Instant, timeout_at};

use super::claim::{self, Claim};
use super::observed;
use super::pack::{Packed, settling};
use super::part::Part;
use super::transaction::Sender;
use super::visit::Visit;
use crate::chain::{self, ChainError, Confirmation, Plan};
use crate::server::books::Book;
use crate::server::channels::{Channel, View};
use crate::server::denial::Denial;
use crate::server::events::MoneyKind;
use crate::server::service::{Core, incarnation};
use crate::server::store::Incarnation;
use crate::server::views::Freshness;

/// Seconds until a funder without a token account is looked at again.
const NO_REFUND_ACCOUNT: u64 = 3_600;

pub(super) fn sender(core: &Core) -> Sender {
    Sender {
        program_id: core.program_id,
        recipient: core.recipient,
        token_program: core.token_program,
        priority_fee: core.config.priority_fee.placeholder(),
        format: core.format.largest(),
    }
}

/// Sends a transaction once.
pub(super) async fn send(core: &Core, plan: &Plan) -> Result<Confirmation, ChainError> {
    let fees = core.config.priority_fee.quote(&*core.chain, plan).await;
    plan.repriced(fees.first).send(&*core.chain, &[&*core.config.recipient]).await
}

/// How often a claim that is alone in its transaction is sent by one visit.
const MOST_SENDS: u32 = 3;

/// Sends settlements, after so many that failed. One that is alone is sent again with a fresh blockhash where
/// the last one's expired before it was seen: it can't be paid twice.
async fn send_settlements(
    core: &Core,
    plan: &Plan,
    shared: bool,
    failures: u32,
) -> Result<Confirmation, ChainError> {
    let most = if shared { 1 } else { MOST_SENDS };
    let fees = core.config.priority_fee.quote(&*core.chain, plan).await;
    let fee = |sends: u32| fees.after(failures.saturating_add(sends));
    plan.send_again_until_seen(&*core.chain, &[&*core.config.recipient], most, fee).await
}

/// Makes the claims of a pack, in one transaction, and notes with their parts what came of each.
pub(super) async fn settle(
    core: &Core,
    parts: &mut [Part],
    pack: Vec<Packed>,
    create_payout: bool,
    until: Instant,
) {
    let plan = sender(core).settle(&settling(parts, &pack), create_payout);
    let late = |_| Err(ChainError::Unreachable("no confirmation in time".to_owned()));
    let failures = pack.iter().filter_map(|one| {
        let part = parts.get(one.part)?;
        Some(part.book.ledger().failures(&one.claim.signer()))
    });
    let (failures, shared) = (failures.max().unwrap_or_default(), pack.len() > 1);
    let sent = timeout_at(until, send_settlements(core, &plan, shared, failures)).await.unwrap_or_else(late);
    let afters = accounts_after(core, parts, &pack).await;
    let mut alone = Vec::new();
    for one in pack {
        let (Some(part), Some(after)) = (parts.get_mut(one.part), afters.get(&one.part)) else { continue };
        match (is_booked(core, part, &one, &sent, after).await, &sent) {
            (Ok(true), sent) => {
                let after = after.as_ref().ok().and_then(Option::as_deref);
                note_claimed(core, &part.book, &one.claim, one.owed, after).await;
                let transaction = sent.as_ref().ok().map(|confirmation| confirmation.signature);
                let paid = note_paid(part, &one, transaction);
                observed::settled(core, paid, sent.is_ok());
                let signer = Address::from(one.claim.record.signer);
                core.tell(part.book.incarnation, MoneyKind::Settled { signer, paid, transaction });
            }
            (Ok(false), Err(error)) if shared && is_refused(error) => alone.push(one),
            (Ok(_), Err(error)) => {
                let failed = failed(&part.book, &part.account, error, core.time.now());
                note_failed(core, part, &one, failed);
            }
            (Ok(false), Ok(_)) => {}
            (Err(unreachable), _) => note_failed(core, part, &one, Visit::Failed(unreachable)),
        }
    }
    // one of them may be bad: in the order they had, each in a transaction of its own
    for mut one in alone.into_iter().rev() {
        if let Some(part) = parts.get_mut(one.part) {
            one.claim.alone = true;
            part.claims.push_front(one.claim);
            part.left = part.left.saturating_add(1);
        }
    }
    for (at, after) in afters {
        match (parts.get_mut(at), after) {
            // the window has less room now
            (Some(part), Ok(Some(account))) => part.account = account,
            (Some(part), Ok(None)) => part.claims.clear(),
            _ => {}
        }
    }
}

/// The channels of a pack as they are now, by the place of their parts.
async fn accounts_after(
    core: &Core,
    parts: &[Part],
    pack: &[Packed],
) -> BTreeMap<usize, Result<View, Denial>> {
    let places: BTreeSet<usize> = pack.iter().map(|one| one.part).collect();
    let with_books = places.iter().filter_map(|at| Some((*at, parts.get(*at)?.book.incarnation)));
    let incarnations: Vec<(usize, Incarnation)> = with_books.collect();
    let channels: Vec<_> = incarnations.iter().map(|(_, incarnation)| incarnation.channel).collect();
    let read = core.channels.read_all(&channels).await;
    let mut reads = read.map(Vec::into_iter).map_err(|error| Denial::chain(&error));
    let afters = incarnations.into_iter().map(|(at, book)| {
        let unanswered = || Err(Denial::unavailable("the chain did not answer"));
        let after = match &mut reads {
            Ok(reads) => {
                reads.next().map_or_else(unanswered, |read| read.map_err(|error| Denial::chain(&error)))
            }
            Err(denial) => Err(denial.clone()),
        };
        (at, after.map(|view| view.filter(|account| incarnation(book.channel, account) == book)))
    });
    afters.collect()
}

/// Whether the chain has booked a claim. Whatever the sending says, that counts: a transaction that was not
/// seen confirmed may have landed, and sending the same claim again can't be paid twice.
async fn is_booked(
    core: &Core,
    part: &Part,
    one: &Packed,
    sent: &Result<Confirmation, ChainError>,
    after: &Result<View, Denial>,
) -> Result<bool, Denial> {
    let after = after.as_ref().map_err(Denial::clone)?;
    if sent.is_ok() {
        return Ok(true);
    }
    let claimed = claimed_of(core, &part.book, &one.claim, after.as_deref()).await;
    Ok(claimed.map_err(|error| Denial::chain(&error))?.is_some_and(|claimed| claimed >= one.owed))
}

/// Whether what is in a transaction may have kept it from landing, and it can't land any more: a claim that is
/// refused, or an account that others write all the time. One that was only not seen may still land.
fn is_refused(error: &ChainError) -> bool {
    use ChainError::{Compile, Failed, Rejected, TooLarge};
    error.is_expired() || matches!(error, Rejected(_) | Failed { .. } | TooLarge { .. } | Compile(_))
}

fn note_paid(part: &mut Part, one: &Packed, transaction: Option<Signature>) -> Amount {
    let paid = one.owed.checked_sub(one.claim.authority.books().claimed).unwrap_or(Amount::ZERO);
    let collected = &mut part.collected;
    collected.paid = collected.paid.checked_add(paid).unwrap_or(Amount::MAX);
    if collected.transactions.last() != transaction.as_ref() {
        collected.transactions.extend(transaction);
    }
    let (signer, owed) = (Address::from(one.claim.record.signer), one.owed);
    tracing::info!(channel = %part.book.incarnation, %signer, %paid, %owed, "settled");
    paid
}

fn note_failed(core: &Core, part: &mut Part, one: &Packed, failed: Visit) {
    observed::not_settled(core, &failed);
    let now = core.time.now();
    part.book.ledger().note_failed(&one.claim.signer());
    match failed {
        Visit::Wait { seconds, code } => {
            part.collected.wait_until(now.saturating_add_unsigned(seconds), code);
        }
        failed => part.collected.failed = Some(failed),
    }
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
    if let Err(error) = core.note_close(book).await {
        return Visit::Failed(Denial::store(&error));
    }
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
