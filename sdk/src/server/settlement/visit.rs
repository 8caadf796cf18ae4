use std::sync::Arc;
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use solana_address::Address;
use solana_signature::Signature;

use super::part::Part;
use super::plan::Urgency;
use super::watch::Sighting;
use crate::chain::TRANSACTION_LIFE;
use crate::server::books::Book;
use crate::server::denial::Denial;
use crate::server::service::Core;
use crate::server::views::Freshness;

/// How long a visit may take. One that takes longer is tried again: what it had sent may have landed, which
/// the next one sees on chain.
pub(super) const VISIT_LIFE: Duration = TRANSACTION_LIFE;

/// What a settlement brought, confirmed by the chain. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The channel.
    pub channel: Address,
    /// Paid by it; zero where nothing was owed.
    pub paid: Amount,
    /// The transactions: in each one signer was settled or several, of other channels as well. None where
    /// another attempt's landed.
    pub transactions: Vec<Signature>,
}

/// What came of looking after a channel.
#[derive(Debug)]
pub(crate) enum Visit {
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
pub(crate) struct Report {
    pub(super) visit: Visit,
    /// When (Unix seconds, the chain's) the first grace is over that runs.
    pub(super) grace_ends: Option<i64>,
}

impl From<Visit> for Report {
    fn from(visit: Visit) -> Self {
        Self { visit, grace_ends: None }
    }
}

/// Looks at one incarnation, and sends nothing. So looks never wait for the settlements of others, and a
/// close request or a revocation is noticed however many are under way. The channel's account is read anew,
/// unless the watch has just seen it.
pub(super) async fn look(core: &Core, book: Arc<Book>, urgency: Urgency, seen: Option<Sighting>) -> Report {
    // looks come many at once
    if let Err(error) = core.time.sync_soon(&*core.chain).await {
        return Visit::Failed(Denial::chain(&error)).into();
    }
    let read = match seen.and_then(Sighting::still_new) {
        Some(account) => Ok(Some(account)),
        None => core.channels.get(book.incarnation.channel, Freshness::Now).await,
    };
    match Part::assess(core, book, urgency, read).await {
        Ok(mut part) => {
            if part.is_due(core.time.now()) {
                return Report { visit: Visit::Due, grace_ends: part.grace_ends };
            }
            part.conclude(core, None).await
        }
        Err(report) => report,
    }
}

/// What becomes of a visit that does not come to its end.
pub(super) fn unfinished() -> Visit {
    Visit::Failed(Denial::unavailable("the settlement took too long; it will be tried again"))
}

pub(super) fn too_slow(book: &Book) -> Visit {
    tracing::warn!(channel = %book.incarnation, "a visit took too long");
    unfinished()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain as _;
    use crate::server::AmpService;
    use crate::server::settlement::joint::settle_together;
    use crate::server::settlement::part::MOST_SETTLEMENTS;
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
        let mut reports = settle_together(&service.core, vec![(book, Urgency::Demanded)]).await;
        reports.pop().unwrap().visit
    }

    fn is_paid(bench: &Bench, delegation: Key) -> bool {
        !bench.chain.delegation(delegation).delegation.signer.claimed.is_zero()
    }

    #[tokio::test]
    async fn one_visit_settles_a_bounded_number_of_signers_those_first_whose_grace_is_over_first() {
        let bench = Bench::new();
        let (service, delegations) = owed_by(&bench, 10).await;
        let Visit::More(settled) = act(&service).await else { panic!() };
        assert_eq!((settled.paid.get(), MOST_SETTLEMENTS), (80, 8));
        assert_eq!(settled.transactions.len(), 3, "three signers in each");
        let paid: Vec<bool> = delegations.iter().map(|address| is_paid(&bench, *address)).collect();
        assert_eq!(paid, [&[false; 2][..], &[true; 8]].concat());
        let Visit::Settled(settled) = act(&service).await else { panic!() };
        assert_eq!((settled.paid.get(), settled.transactions.len()), (20, 1));
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
        let report = look(&service.core, book, routine, None).await;
        assert!(matches!(report.visit, Visit::Due));
        let first = bench.chain.delegation(delegations[1]).delegation;
        let grace = bench.account().terms.close_grace;
        assert_eq!((report.grace_ends, bench.chain.sent()), (first.collectable_until(grace), 0));
    }
}
