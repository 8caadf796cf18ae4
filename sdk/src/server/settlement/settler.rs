use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use solana_address::Address;
use solana_signature::Signature;

use super::plan::{Decision, Urgency, decide};
use super::transaction::Sender;
use crate::chain::{ChainError, Confirmation, Plan};
use crate::server::books::Book;
use crate::server::channels::Freshness;
use crate::server::clock::unix_now;
use crate::server::denial::Denial;
use crate::server::ledger::{SignerId, SignerRecord};
use crate::server::service::{Core, incarnation};

/// Seconds until a funder without a token account is looked at again.
const NO_REFUND_ACCOUNT: u64 = 3_600;

/// How long a channel must be gone before what it owes is given up: a node may lag, or hold nothing
/// yet, for longer than a watch takes.
const GONE_FOR_GOOD: Duration = Duration::from_secs(600);

/// What a settlement brought, confirmed by the chain. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The channel.
    pub channel: Address,
    /// Paid by it; zero where nothing was owed.
    pub paid: Amount,
    /// The transaction, or `None` where there was nothing to send, or another attempt's landed.
    pub transaction: Option<Signature>,
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
                Ok(Settled { channel: Address::from(channel), paid: Amount::ZERO, transaction: None })
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

/// Looks after one incarnation: settles what is due, closes what is overdue, notices what is gone.
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
    let (stopped_at, record) = {
        let ledger = book.ledger();
        let signer = ledger.signer(&SignerId::authorized(&account));
        (ledger.stopped_at, signer.and_then(|signer| signer.committed.clone()))
    };
    let deadline = stopped_at.map(|at| at.saturating_add_unsigned(core.config.close_deadline.as_secs()));
    let overdue = deadline.is_some_and(|deadline| unix_now() >= deadline);
    if let (Some(deadline), Urgency::Routine { .. }, false, false) =
        (deadline, urgency, overdue, account.books.closing)
    {
        // the close statement pays what is owed without a settlement
        return wait(deadline, unix_now(), Code::SettleEarly);
    }
    let urgency = if overdue { Urgency::Demanded } else { urgency };
    let now = core.time.now();
    let decision = record.as_ref().map_or(Decision::Nothing, |record| {
        decide(&account, &account.signer, record.seq, record.spent, urgency, now)
    });
    match (decision, record) {
        (Decision::Settle { owed }, Some(record)) => settle(core, book, &account, &record, owed).await,
        (Decision::Wait { until, code }, _) => wait(until, now, code),
        _ if overdue => close(core, book, &account).await,
        _ => Visit::Idle,
    }
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

fn sender(core: &Core) -> Sender {
    Sender {
        program_id: core.config.program_id,
        recipient: core.recipient,
        token_program: core.token_program,
        priority_fee: core.config.priority_fee,
    }
}

async fn send(core: &Core, plan: &Plan) -> Result<Confirmation, ChainError> {
    plan.send(&*core.chain, &[&*core.config.recipient]).await
}

async fn settle(
    core: &Core,
    book: &Book,
    account: &ChannelAccount,
    record: &SignerRecord,
    owed: Amount,
) -> Visit {
    let channel = book.incarnation.channel;
    let sender = sender(core);
    let missing = match core.chain.account(&sender.payout_account(account.mint)).await {
        Ok(payout) => payout.is_none(),
        Err(error) => return Visit::Failed(Denial::chain(&error)),
    };
    let sent = send(core, &sender.settle(channel, account, record, owed, missing)).await;
    // whatever the sending says, what the chain has booked counts: a transaction that was not seen
    // confirmed may have landed, and sending the same claim again can't be paid twice
    let after = match core.channels.get(channel, Freshness::Now).await {
        Ok(view) => view.filter(|account| incarnation(channel, account) == book.incarnation),
        Err(error) => return Visit::Failed(Denial::chain(&error)),
    };
    let booked = after.as_ref().is_some_and(|after| after.signer.claimed >= owed);
    let transaction = match sent {
        Ok(confirmation) => Some(confirmation.signature),
        Err(_) if booked => None,
        Err(error) => return failed(book, account, &error, core.time.now()),
    };
    if let Some(after) = after
        && let Err(error) = core.store.book_claimed(book.incarnation, after.books.claimed).await
    {
        tracing::error!(%error, channel = %book.incarnation, "what was claimed could not be noted");
    }
    let paid = owed.checked_sub(account.signer.claimed).unwrap_or(Amount::ZERO);
    tracing::info!(channel = %book.incarnation, %paid, %owed, "settled");
    Visit::Settled(Settled { channel: Address::from(channel), paid, transaction })
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
