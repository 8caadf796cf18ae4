use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use amp_protocol::rules::closable_from;
use solana_address::Address;
use solana_signature::Signature;

use super::claim::{self, Claim, Found, GONE_FOR_GOOD};
use super::plan::{Decision, Urgency, decide};
use super::settler::{close, settle};
use crate::server::books::Book;
use crate::server::channels::Channel;
use crate::server::clock::unix_now;
use crate::server::denial::Denial;
use crate::server::service::{Core, incarnation};
use crate::server::views::Freshness;

/// Most settlements that one visit sends. A channel of which many signers owe is visited again at once,
/// when others have had their turn.
const MOST_SETTLEMENTS: usize = 8;

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

/// How far a visit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It reads, and sends nothing. So looks never wait for the settlements of others, and a close request
    /// or a revocation is noticed however many are under way.
    Look,
    /// It settles and closes.
    Act,
}

/// What came of looking after a channel.
#[derive(Debug)]
pub(super) enum Visit {
    /// Nothing to do.
    Idle,
    /// There is something to send: by a look.
    Due,
    /// Something was paid.
    Settled(Settled),
    /// The same, and there is more: it goes on at once.
    More(Settled),
    /// Too early, for this many seconds.
    Wait { seconds: u64, code: Code },
    /// It did not work; try again later.
    Failed(Denial),
    /// The channel is not on chain, or not in this incarnation.
    Gone,
}

impl Visit {
    /// As the answer to whoever asked for the settlement, of which earlier visits brought `so_far`.
    pub(super) fn into_outcome(self, channel: Key, so_far: Option<Settled>) -> Result<Settled, Denial> {
        match (self, so_far) {
            (Self::Settled(settled) | Self::More(settled), so_far) => Ok(settled.after(so_far)),
            (_, Some(so_far)) => Ok(so_far),
            (Self::Idle | Self::Due, None) => {
                let transactions = Vec::new();
                Ok(Settled { channel: Address::from(channel), paid: Amount::ZERO, transactions })
            }
            (Self::Wait { seconds, code }, None) => Err(Denial::Refused(Box::new(ErrorBody {
                channel: Some(channel.into()),
                retry_after: Some(seconds),
                ..ErrorBody::new(code, format!("the channel can be settled in {seconds} s"))
            }))),
            (Self::Failed(denial), None) => Err(denial),
            (Self::Gone, None) => Err(Denial::closed(channel)),
        }
    }

    pub(super) fn wait(until: i64, now: i64, code: Code) -> Self {
        Self::Wait { seconds: u64::try_from(until.saturating_sub(now)).unwrap_or_default().max(1), code }
    }
}

impl Settled {
    /// With what was brought before.
    pub(super) fn after(self, before: Option<Self>) -> Self {
        let Some(mut all) = before else { return self };
        all.paid = all.paid.checked_add(self.paid).unwrap_or(Amount::MAX);
        all.transactions.extend(self.transactions);
        all
    }
}

/// A visit, and until when what the channel owes must be collected.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) visit: Visit,
    /// When (Unix seconds, the chain's) the first grace is over that runs.
    pub(super) grace_ends: Option<i64>,
}

impl From<Visit> for Report {
    fn from(visit: Visit) -> Self {
        Self { visit, grace_ends: None }
    }
}

/// Looks after one incarnation: settles whoever is due, closes what is overdue, notices what is gone.
pub(super) async fn visit(core: &Core, book: &Book, urgency: Urgency, reach: Reach) -> Report {
    let channel = book.incarnation.channel;
    let synced = match reach {
        // looks come many at once
        Reach::Look => core.time.sync_soon(&*core.chain).await,
        Reach::Act => core.time.sync(&*core.chain).await.map(drop),
    };
    if let Err(error) = synced {
        return Visit::Failed(Denial::chain(&error)).into();
    }
    let account = match core.channels.get(channel, Freshness::Now).await {
        Ok(view) => view.filter(|account| incarnation(channel, account) == book.incarnation),
        Err(error) => return Visit::Failed(Denial::chain(&error)).into(),
    };
    let patience = core.config.watch_interval.saturating_mul(2).max(GONE_FOR_GOOD);
    let gone_for_good = book.seen(account.is_none(), patience);
    let Some(account) = account else {
        return gone(core, book, gone_for_good).await.into();
    };
    book.is_there();
    book.ledger().claims_are_noted(&account);
    let found = claim::find(core, book, &account, core.time.now()).await;
    let grace_ends = grace_ends(&account, &found.claims, core.time.now());
    Report { visit: look_after(core, book, &account, found, urgency, reach).await, grace_ends }
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

/// What is done about a channel that is on chain, and of which `found` is owed.
async fn look_after(
    core: &Core,
    book: &Book,
    account: &Arc<Channel>,
    mut found: Found,
    urgency: Urgency,
    reach: Reach,
) -> Visit {
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
    let collected = collect(core, book, account, found.claims, urgency, reach).await;
    if collected.due {
        return Visit::Due;
    }
    let failed = found.failed.map(|error| Visit::Failed(Denial::chain(&error))).or(collected.failed);
    let now = core.time.now();
    let channel = Address::from(book.incarnation.channel);
    let paid = Settled { channel, paid: collected.paid, transactions: collected.transactions };
    // what failed beside a payment is tried again at the next watch
    match (failed, collected.wait) {
        _ if !paid.paid.is_zero() && collected.more => Visit::More(paid),
        _ if !paid.paid.is_zero() => Visit::Settled(paid),
        (Some(failed), _) => failed,
        (None, Some((until, code))) => Visit::wait(until, now, code),
        (None, None) => match (by_statement, found.missing_until) {
            (Some(deadline), _) => Visit::wait(deadline, unix_now(), Code::SettleEarly),
            (None, Some(until)) if overdue && until > now => Visit::wait(until, now, Code::SettleEarly),
            _ if overdue && reach == Reach::Look => Visit::Due,
            _ if overdue => close(core, book, account).await,
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
    /// A look found something to settle.
    due: bool,
    /// Others are due that this visit has no time for.
    more: bool,
}

/// Settles what is due. A signer that can't be settled holds up no other.
async fn collect(
    core: &Core,
    book: &Book,
    account: &Arc<Channel>,
    claims: Vec<Claim>,
    urgency: Urgency,
    reach: Reach,
) -> Collected {
    let mut account = account.clone();
    let mut collected = Collected::default();
    let mut left = MOST_SETTLEMENTS;
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
        if reach == Reach::Look {
            collected.due = true;
            return collected;
        }
        let Some(fewer) = left.checked_sub(1) else {
            collected.more = true;
            return collected;
        };
        left = fewer;
        match settle(core, book, &account, &claim, owed).await {
            Ok(done) => {
                collected.paid = collected.paid.checked_add(done.paid).unwrap_or(Amount::MAX);
                collected.transactions.extend(done.transaction);
                // the window has less room now
                let Some(after) = done.after else { return collected };
                account = after;
            }
            Err(failed) => {
                book.ledger().note_failed(&claim.signer());
                match failed {
                    Visit::Wait { seconds, code } => {
                        let until = now.saturating_add_unsigned(seconds);
                        collected.wait = collected.wait.or(Some((until, code)));
                    }
                    failed => collected.failed = Some(failed),
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain as _;
    use crate::server::AmpService;
    use crate::server::testing::{Bench, CHANNEL, Fate};

    /// A service of which `signers` delegates owe 10 each, and where their delegations stand, in the order
    /// in which they end: the last one ended first.
    async fn owed_by(bench: &Bench, signers: usize) -> (AmpService, Vec<Key>) {
        let service = bench.service_with(bench.config()).await;
        // its own worker would be quicker
        service.shutdown().await;
        let mut delegations = Vec::new();
        let now = bench.chain.clock().await.unwrap().unix_timestamp;
        let all: Vec<_> = (0..signers).map(|_| bench.delegate(1_000)).collect();
        for (ahead, (key, address)) in (1..).zip(&all) {
            let credential = bench.delegated(key, 10).await;
            let admission = service.authorize(&credential, Amount::new(10)).await.unwrap();
            admission.charge(Amount::new(10)).await.unwrap();
            bench.chain.change_delegation(*address, |account| {
                account.delegation.expires_at = now.saturating_sub(ahead);
            });
            delegations.push(*address);
        }
        (service, delegations)
    }

    async fn act(service: &AmpService) -> Visit {
        let book = service.core.books.of(CHANNEL).pop().unwrap();
        visit(&service.core, &book, Urgency::Demanded, Reach::Act).await.visit
    }

    fn is_paid(bench: &Bench, delegation: Key) -> bool {
        !bench.chain.delegation(delegation).delegation.signer.claimed.is_zero()
    }

    #[tokio::test]
    async fn one_visit_settles_a_bounded_number_of_signers_those_first_whose_grace_is_over_first() {
        let bench = Bench::new();
        let (service, delegations) = owed_by(&bench, 10).await;
        let Visit::More(settled) = act(&service).await else { panic!() };
        assert_eq!(settled.transactions.len(), MOST_SETTLEMENTS);
        let paid: Vec<bool> = delegations.iter().map(|address| is_paid(&bench, *address)).collect();
        assert_eq!(paid, [&[false; 2][..], &[true; 8]].concat());
        let Visit::Settled(settled) = act(&service).await else { panic!() };
        assert_eq!(settled.transactions.len(), 2);
    }

    #[tokio::test]
    async fn signers_that_can_not_be_settled_keep_no_visit_from_the_others() {
        let bench = Bench::new();
        let (service, delegations) = owed_by(&bench, 9).await;
        bench.chain.fate(Fate::Lost);
        assert!(matches!(act(&service).await, Visit::Failed(_)));
        bench.chain.fate(Fate::Lands);
        assert!(matches!(act(&service).await, Visit::More(_)));
        assert!(is_paid(&bench, delegations[0]), "it ends last, and did not fail");
    }

    #[tokio::test]
    async fn a_look_sends_nothing_and_tells_when_the_first_grace_is_over() {
        let bench = Bench::new();
        let (service, delegations) = owed_by(&bench, 2).await;
        let book = service.core.books.of(CHANNEL).pop().unwrap();
        let routine = Urgency::Routine { every: 3_600, least: Amount::ZERO };
        let report = visit(&service.core, &book, routine, Reach::Look).await;
        assert!(matches!(report.visit, Visit::Due));
        let first = bench.chain.delegation(delegations[1]).delegation;
        let grace = bench.account().terms.close_grace;
        assert_eq!((report.grace_ends, bench.chain.sent()), (first.collectable_until(grace), 0));
    }
}
