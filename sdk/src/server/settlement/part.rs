use std::collections::VecDeque;
use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::money::Amount;
use amp_protocol::rules::closable_from;
use solana_address::Address;
use solana_signature::Signature;
use tokio::time::{Instant, timeout_at};

use super::claim::{self, Claim, patience};
use super::noted::Noted;
use super::plan::{Decision, Urgency, decide};
use super::settler::close;
use super::visit::{Report, Settled, Visit, too_slow};
use crate::chain::ChainError;
use crate::server::books::Book;
use crate::server::channels::{Channel, View};
use crate::server::clock::unix_now;
use crate::server::denial::Denial;
use crate::server::events::MoneyKind;
use crate::server::service::{Core, incarnation};

/// Most settlements of a channel that one visit sends. A channel of which many signers owe is visited again
/// at once, when others have had their turn.
pub(super) const MOST_SETTLEMENTS: usize = 8;

/// One incarnation of a channel during a visit: what is on chain, what it owes, and what came of it.
pub(super) struct Part {
    pub(super) book: Arc<Book>,
    /// As it was on chain after the last settlement.
    pub(super) account: Arc<Channel>,
    /// What is not decided yet, the most urgent first.
    pub(super) claims: VecDeque<Claim>,
    pub(super) urgency: Urgency,
    /// Settlements that this visit may still send.
    pub(super) left: usize,
    /// When (Unix seconds, the chain's) the first grace is over that runs.
    pub(super) grace_ends: Option<i64>,
    pub(super) collected: Collected,
    /// A delegation could not be read.
    failed: Option<ChainError>,
    /// Unix seconds until which a delegation that is not there may turn up.
    missing_until: Option<i64>,
    /// The close statement's deadline, where that pays what is owed.
    by_statement: Option<i64>,
    /// The funder has not closed in time.
    overdue: bool,
}

/// What came of settling the signers of a channel.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) paid: Amount,
    pub(super) transactions: Vec<Signature>,
    pub(super) failed: Option<Visit>,
    /// Until when the first of those has to wait that do.
    pub(super) wait: Option<(i64, Code)>,
    /// Others are due that this visit has no time for.
    pub(super) more: bool,
}

impl Collected {
    pub(super) fn wait_until(&mut self, until: i64, code: Code) {
        if self.wait.is_none_or(|(other, _)| until < other) {
            self.wait = Some((until, code));
        }
    }
}

impl Part {
    /// What is owed of a channel that was read. Where nothing can be done, what there is to report.
    pub(super) async fn assess(
        core: &Core,
        book: Arc<Book>,
        urgency: Urgency,
        read: Result<View, ChainError>,
    ) -> Result<Self, Report> {
        let view = read.map_err(|error| Report::from(Visit::Failed(Denial::chain(&error))))?;
        let account =
            view.filter(|account| incarnation(book.incarnation.channel, account) == book.incarnation);
        let gone_for_good = book.seen(account.is_none(), patience(core));
        let Some(account) = account else {
            return Err(gone(core, &book, gone_for_good).await.into());
        };
        book.is_there();
        // other processes may have served it meanwhile
        core.refresh(&book).await.map_err(|error| Report::from(Visit::Failed(Denial::store(&error))))?;
        book.ledger().claims_are_noted(&account);
        let mut found = claim::find(core, &book, &account, core.time.now()).await;
        let now = core.time.now();
        let grace_ends = grace_ends(&account, &found.claims, now);
        book.note(&account, Noted::of(&account, &found.claims, grace_ends, now));

        let stopped_at = book.ledger().stopped_at;
        let deadline = stopped_at.map(|at| at.saturating_add_unsigned(core.config.close_deadline.as_secs()));
        let overdue = deadline.is_some_and(|deadline| unix_now() >= deadline);
        let routine = matches!(urgency, Urgency::Routine { .. });
        // the close statement pays what is owed without a settlement; but a delegate's grace does not wait
        let by_statement = deadline.filter(|_| routine && !overdue && !account.books.closing);
        let urgency = if overdue { Urgency::Demanded } else { urgency };
        if by_statement.is_some() {
            let now = core.time.now();
            found.claims.retain(|claim| claim.authority.has_ended(now));
        }
        Ok(Self {
            book,
            account,
            claims: found.claims.into(),
            urgency,
            left: MOST_SETTLEMENTS,
            grace_ends,
            collected: Collected::default(),
            failed: found.failed,
            missing_until: found.missing_until,
            by_statement,
            overdue,
        })
    }

    /// Whether something is to be sent; notes what the rest waits for.
    pub(super) fn is_due(&mut self, now: i64) -> bool {
        for claim in &self.claims {
            let (authority, record) = (&claim.authority, &claim.record);
            match decide(&self.account, authority, record.seq, record.spent, self.urgency, now) {
                Decision::Settle { .. } => return true,
                Decision::Wait { until, code } => self.collected.wait_until(until, code),
                Decision::Nothing => {}
            }
        }
        false
    }

    /// What there is to report once all is settled that could be; closes the channel where that is left to
    /// do and `may_close` until some time, else tells that it is due.
    pub(super) async fn conclude(self, core: &Core, may_close: Option<Instant>) -> Report {
        let Self { book, account, collected, grace_ends, by_statement, missing_until, overdue, .. } = self;
        let failed = self.failed.map(|error| Visit::Failed(Denial::chain(&error))).or(collected.failed);
        let now = core.time.now();
        let channel = Address::from(book.incarnation.channel);
        let paid = Settled { channel, paid: collected.paid, transactions: collected.transactions };
        // what failed beside a payment, or has to wait, is told by the next visit, which comes at once: a watch
        // may be far, and a grace may run
        let more = collected.more || failed.is_some() || collected.wait.is_some();
        let visit = match (failed, collected.wait) {
            _ if !paid.paid.is_zero() && more => Visit::More(paid),
            _ if !paid.paid.is_zero() => Visit::Settled(paid),
            (Some(failed), _) => failed,
            (None, Some((until, code))) => Visit::wait(until, now, code),
            (None, None) => match (by_statement, missing_until, may_close) {
                (Some(deadline), ..) => Visit::wait(deadline, unix_now(), Code::SettleEarly),
                (None, Some(until), _) if overdue && until > now => {
                    Visit::wait(until, now, Code::SettleEarly)
                }
                (.., None) if overdue => Visit::Due,
                (.., Some(until)) if overdue => {
                    let closing = timeout_at(until, close(core, &book, &account));
                    closing.await.unwrap_or_else(|_| too_slow(&book))
                }
                _ => Visit::Idle,
            },
        };
        Report { visit, grace_ends }
    }
}

/// When the first grace is over that runs: the channel's, or that of a delegate which owes.
fn grace_ends(account: &ChannelAccount, claims: &[Claim], now: i64) -> Option<i64> {
    let grace = account.terms.close_grace;
    let closing = || closable_from(account.closing_at, grace).unwrap_or(i64::MAX);
    let ended = claims.iter().filter(|claim| claim.authority.has_ended(now));
    let delegations = ended.filter_map(|claim| claim.authority.delegation());
    let delegates = delegations.filter_map(|delegation| delegation.collectable_until(grace));
    delegates.chain(account.books.closing.then(closing)).min()
}

async fn gone(core: &Core, book: &Book, for_good: bool) -> Visit {
    if for_good && !book.has_ended() {
        match core.store.end(book.incarnation).await {
            Ok(()) => {
                tracing::info!(channel = %book.incarnation, "the channel is closed on chain");
                book.end();
                core.tell(book.incarnation, MoneyKind::Gone);
            }
            Err(error) => return Visit::Failed(Denial::store(&error)),
        }
    }
    Visit::Gone
}
