use std::sync::Arc;
use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use solana_address::Address;
use solana_signature::Signature;

use super::claim::{self, Claim};
use super::plan::{Decision, Urgency, decide};
use super::transaction::Sender;
use crate::chain::{ChainError, Confirmation, Plan};
use crate::server::books::Book;
use crate::server::channels::View;
use crate::server::clock::unix_now;
use crate::server::denial::Denial;
use crate::server::service::{Core, incarnation};
use crate::server::views::Freshness;

/// Seconds until a funder without a token account is looked at again.
const NO_REFUND_ACCOUNT: u64 = 3_600;

/// How long a channel or a delegation must be gone before what it owes is given up: a node may lag, or
/// hold nothing yet, for longer than a watch takes.
pub(super) const GONE_FOR_GOOD: Duration = Duration::from_secs(600);

/// What a settlement brought, confirmed by the chain. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The channel.
    pub channel: Address,
    /// Paid by it; zero where nothing was owed.
    pub paid: Amount,
    /// The transactions: one for each signer that was settled, none where another attempt's landed.
    pub transactions: Vec<Signature>,
}

/// What came of looking after a channel.
#[derive(Debug)]
pub(super) enum Visit {
    /// Nothing to do.
    Idle,
    /// Something was paid.
    Settled(Settled),
    /// Too early, for this many seconds.
    Wait { seconds: u64, code: Code },
    /// It did not work; try again later.
    Failed(Denial),
    /// The channel is not on chain, or not in this incarnation.
    Gone,
}

impl Visit {
    /// As the answer to whoever asked for the settlement.
    pub(super) fn into_outcome(self, channel: Key) -> Result<Settled, Denial> {
        match self {
            Self::Idle => {
                let transactions = Vec::new();
                Ok(Settled { channel: Address::from(channel), paid: Amount::ZERO, transactions })
            }
            Self::Settled(settled) => Ok(settled),
            Self::Wait { seconds, code } => Err(Denial::Refused(Box::new(ErrorBody {
                channel: Some(channel.into()),
                retry_after: Some(seconds),
                ..ErrorBody::new(code, format!("the channel can be settled in {seconds} s"))
            }))),
            Self::Failed(denial) => Err(denial),
            Self::Gone => Err(Denial::closed(channel)),
        }
    }
}

fn wait(until: i64, now: i64, code: Code) -> Visit {
    Visit::Wait { seconds: u64::try_from(until.saturating_sub(now)).unwrap_or_default().max(1), code }
}

/// Looks after one incarnation: settles whoever is due, closes what is overdue, notices what is gone.
pub(super) async fn visit(core: &Core, book: &Book, urgency: Urgency) -> Visit {
    let channel = book.incarnation.channel;
    let account = match core.channels.get(channel, Freshness::Now).await {
        Ok(view) => view.filter(|account| incarnation(channel, account) == book.incarnation),
        Err(error) => return Visit::Failed(Denial::chain(&error)),
    };
    let patience = core.config.watch_interval.saturating_mul(2).max(GONE_FOR_GOOD);
    let gone_for_good = book.seen(account.is_none(), patience);
    let Some(account) = account else {
        return gone(core, book, gone_for_good).await;
    };
    book.is_there();
    let stopped_at = {
        let mut ledger = book.ledger();
        ledger.claims_are_noted(&account);
        ledger.stopped_at
    };
    let deadline = stopped_at.map(|at| at.saturating_add_unsigned(core.config.close_deadline.as_secs()));
    let overdue = deadline.is_some_and(|deadline| unix_now() >= deadline);
    let routine = matches!(urgency, Urgency::Routine { .. });
    // the close statement pays what is owed without a settlement; but a delegate's grace does not wait
    let by_statement = deadline.filter(|_| routine && !overdue && !account.books.closing);
    let urgency = if overdue { Urgency::Demanded } else { urgency };
    let mut found = claim::find(core, book, &account, core.time.now()).await;
    if by_statement.is_some() {
        let now = core.time.now();
        found.claims.retain(|claim| claim.authority.has_ended(now));
    }
    let collected = collect(core, book, &account, found.claims, urgency).await;
    let failed = found.failed.map(|error| Visit::Failed(Denial::chain(&error))).or(collected.failed);
    let now = core.time.now();
    let paid = Settled {
        channel: Address::from(channel),
        paid: collected.paid,
        transactions: collected.transactions,
    };
    // what failed beside a payment is tried again at the next watch
    match (failed, collected.wait) {
        _ if !paid.paid.is_zero() => Visit::Settled(paid),
        (Some(failed), _) => failed,
        (None, Some((until, code))) => wait(until, now, code),
        (None, None) => match (by_statement, found.missing_until) {
            (Some(deadline), _) => wait(deadline, unix_now(), Code::SettleEarly),
            (None, Some(until)) if overdue && until > now => wait(until, now, Code::SettleEarly),
            _ if overdue => close(core, book, &account).await,
            _ => Visit::Idle,
        },
    }
}

/// What came of settling the signers of a channel one after the other.
#[derive(Default)]
struct Collected {
    paid: Amount,
    transactions: Vec<Signature>,
    failed: Option<Visit>,
    /// Until when the first of those has to wait that do.
    wait: Option<(i64, Code)>,
}

/// Settles what is due. A signer that can't be settled holds up no other.
async fn collect(
    core: &Core,
    book: &Book,
    account: &Arc<ChannelAccount>,
    claims: Vec<Claim>,
    urgency: Urgency,
) -> Collected {
    let mut account = account.clone();
    let mut collected = Collected::default();
    for claim in claims {
        let (now, record) = (core.time.now(), &claim.record);
        let owed = match decide(&account, &claim.authority, record.seq, record.spent, urgency, now) {
            Decision::Settle { owed } => owed,
            Decision::Wait { until, code } => {
                let sooner = collected.wait.is_none_or(|(other, _)| until < other);
                collected.wait = if sooner { Some((until, code)) } else { collected.wait };
                continue;
            }
            Decision::Nothing => continue,
        };
        match settle(core, book, &account, &claim, owed).await {
            Ok(done) => {
                collected.paid = collected.paid.checked_add(done.paid).unwrap_or(Amount::MAX);
                collected.transactions.extend(done.transaction);
                // the window has less room now
                let Some(after) = done.after else { return collected };
                account = after;
            }
            Err(Visit::Wait { seconds, code }) => {
                collected.wait = collected.wait.or(Some((now.saturating_add_unsigned(seconds), code)));
            }
            Err(failed) => collected.failed = Some(failed),
        }
    }
    collected
}

async fn gone(core: &Core, book: &Book, for_good: bool) -> Visit {
    if for_good && !book.has_ended() {
        match core.store.end(book.incarnation).await {
            Ok(()) => {
                tracing::info!(channel = %book.incarnation, "the channel is closed on chain");
                book.end();
            }
            Err(error) => return Visit::Failed(Denial::store(&error)),
        }
    }
    Visit::Gone
}

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
struct Booked {
    paid: Amount,
    transaction: Option<Signature>,
    after: View,
}

async fn settle(
    core: &Core,
    book: &Book,
    account: &ChannelAccount,
    claim: &Claim,
    owed: Amount,
) -> Result<Booked, Visit> {
    let (channel, id) = (book.incarnation.channel, claim.signer());
    let unreachable = |error| Visit::Failed(Denial::chain(&error));
    let sender = sender(core);
    let payout = core.chain.account(&sender.payout_account(account.mint)).await.map_err(unreachable)?;
    let (record, delegation) = (&claim.record, claim.delegation.as_ref());
    let sent = send(core, &sender.settle(channel, account, record, delegation, owed, payout.is_none())).await;
    // whatever the sending says, what the chain has booked counts: a transaction that was not seen
    // confirmed may have landed, and sending the same claim again can't be paid twice
    let after = core.channels.get(channel, Freshness::Now).await.map_err(unreachable)?;
    let after = after.filter(|account| incarnation(channel, account) == book.incarnation);
    let transaction = match sent {
        Ok(confirmation) => Some(confirmation.signature),
        Err(error) => {
            let claimed = match &claim.delegation {
                None => after.as_ref().map(|after| after.signer.claimed),
                Some(_) => {
                    let (_, found) = claim::authority(core, book, &id).await.map_err(unreachable)?;
                    found.map(|found| found.books().claimed)
                }
            };
            if claimed.is_none_or(|claimed| claimed < owed) {
                return Err(failed(book, account, &error, core.time.now()));
            }
            None
        }
    };
    book.ledger().note_claimed(&id, owed);
    if let Some(after) = &after
        && let Err(error) = core.store.book_claimed(book.incarnation, after.books.claimed).await
    {
        tracing::error!(%error, channel = %book.incarnation, "what was claimed could not be noted");
    }
    let paid = owed.checked_sub(claim.authority.books().claimed).unwrap_or(Amount::ZERO);
    let signer = Address::from(id.key);
    tracing::info!(channel = %book.incarnation, %signer, %paid, %owed, "settled");
    Ok(Booked { paid, transaction, after })
}

fn failed(book: &Book, account: &ChannelAccount, error: &ChainError, now: i64) -> Visit {
    tracing::warn!(%error, channel = %book.incarnation, "not settled");
    let interval = account.terms.settle_interval;
    match error.rejection() {
        // the chain's clock is behind ours
        Some(Rejection::SettleEarly) => wait(now.saturating_add(1), now, Code::SettleEarly),
        Some(Rejection::RateExceeded) => {
            let window = account.books.window.at(now, interval);
            wait(window.map_or(now, |window| window.ends_at(interval)), now, Code::RateExceeded)
        }
        _ => Visit::Failed(Denial::unavailable("the settlement was not confirmed; it will be tried again")),
    }
}

async fn close(core: &Core, book: &Book, account: &ChannelAccount) -> Visit {
    let (channel, sender) = (book.incarnation.channel, sender(core));
    match core.chain.account(&sender.refund_account(account)).await {
        Ok(Some(_)) => {}
        // what is owed is settled, and the rest is the funder's to fetch: paying the rent of its token
        // account would be a gift that it can ask for again and again
        Ok(None) => return Visit::Wait { seconds: NO_REFUND_ACCOUNT, code: Code::Closed },
        Err(error) => return Visit::Failed(Denial::chain(&error)),
    }
    book.close_is_sent();
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
