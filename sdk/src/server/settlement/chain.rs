use std::time::{SystemTime, UNIX_EPOCH};

use std::sync::Arc;

use amp_protocol::account::ChannelAccount;
use amp_protocol::instruction::ChainChannel;
use amp_protocol::json::DiscoveryDocument;
use amp_protocol::money::{Amount, UnitPrice};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Terms, chained_depth};
use solana_address::Address;
use solana_signature::Signature;
use tokio::time::timeout;

use super::claim::{self, Claim};
use super::settler::{claimed_of, note_claimed, send, sender};
use crate::chain::{self, ChainError, ChannelAddress, TRANSACTION_LIFE};
use crate::server::books::Book;
use crate::server::events::MoneyKind;
use crate::server::service::{Core, incarnation};
use crate::server::views::Freshness;

/// What a service puts at its supplier's disposal out of what an upstream channel owes it: a channel that
/// the service signs for. Amounts are base units.
///
/// What the supplier does not earn goes to the upstream funder, not back to the service: chain what is
/// about to be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubChannel {
    /// The supplier's recipient key.
    pub sub_service: Address,
    /// What is put in. At most what a single signer of the upstream channel owes and has not paid.
    pub deposit: Amount,
    /// Base units that a step of seq authorizes.
    pub unit_price: UnitPrice,
    /// Most that the supplier may claim in one settle interval.
    pub rate_limit: Amount,
    /// Seconds between the supplier's settlements.
    pub settle_interval: u32,
    /// Seconds of close grace: at most the upstream channel's.
    pub close_grace: u32,
}

impl SubChannel {
    /// A channel on the terms that a supplier's discovery document asks for, counted in base units. All of
    /// `deposit` may be claimed within one settle interval.
    pub fn for_service(document: &DiscoveryDocument, deposit: Amount) -> Self {
        Self {
            sub_service: Address::from(document.recipient.0),
            deposit,
            unit_price: UnitPrice::ONE,
            rate_limit: deposit,
            settle_interval: document.pricing.default.settle_interval,
            close_grace: document.min_close_grace,
        }
    }
}

/// A channel that was chained, confirmed by the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    /// The new channel.
    pub channel: Address,
    /// The slot it was opened in: its epoch.
    pub opened_slot: u64,
    /// What is in it, in base units.
    pub deposit: Amount,
    /// The transaction; none where it was not seen confirmed and landed all the same.
    pub transaction: Option<Signature>,
}

/// Why no channel was chained.
#[derive(Debug, thiserror::Error)]
pub enum ChainingError {
    /// The service knows no such channel, or it is gone.
    #[error("channel {0} is not served here, or is closed")]
    NoChannel(Address),
    /// Nobody owes enough.
    #[error(
        "a chained channel of {deposit} base units was asked for, and the most that one signer owes and has not \
         paid is {owed}; ask for less, or later"
    )]
    NotOwed {
        /// Asked for.
        deposit: Amount,
        /// The most there is.
        owed: Amount,
    },
    /// The program would refuse.
    #[error("the AMP program would refuse it: {0}")]
    Rule(Rejection),
    /// The chain did not answer, or the transaction failed.
    #[error("the channel {channel} was not seen opened: {error}")]
    Chain {
        /// Where the new channel is, should it turn up after all; the upstream channel where it did not come
        /// to a transaction.
        channel: Address,
        /// What went wrong.
        error: Box<ChainError>,
    },
    /// The service was shut down.
    #[error("the settlement worker has ended")]
    Ended,
}

/// Chains a channel below the one of `book`. Runs in the settlement worker, as a visit of
/// the channel: a settlement of the same signer under way would make this one too early.
pub(super) async fn chain(
    core: &Core,
    book: &Arc<Book>,
    asked: &SubChannel,
) -> Result<Chained, ChainingError> {
    let upstream = Address::from(book.incarnation.channel);
    let failed = |error| ChainingError::Chain { channel: upstream, error: Box::new(error) };
    let account = core.channels.get(book.incarnation.channel, Freshness::Now).await.map_err(failed)?;
    let account = account.filter(|account| incarnation(upstream.to_bytes(), account) == book.incarnation);
    let account = account.ok_or(ChainingError::NoChannel(upstream))?;
    if let Err(error) = core.refresh(book).await {
        // less is owed by what is known, and not more
        tracing::warn!(%error, channel = %book.incarnation, "what other processes have served is not known");
    }
    book.ledger().claims_are_noted(&account);
    let terms = Terms {
        unit_price: asked.unit_price.get(),
        rate_limit: asked.rate_limit.get(),
        settle_interval: asked.settle_interval,
        close_grace: asked.close_grace,
        max_chain_depth: account.terms.max_chain_depth,
    };
    check(&account, asked, &terms).map_err(ChainingError::Rule)?;
    core.time.sync(&*core.chain).await.map_err(failed)?;
    let now = core.time.now();
    let found = claim::find(core, book, &account, now).await;
    if let (true, Some(error)) = (found.claims.is_empty(), found.failed) {
        return Err(failed(error));
    }
    let (claim, owed) = choose(&account, found.claims, asked.deposit, now)?;

    let (nonce, at) = free_address(core, &upstream, &asked.sub_service).await.map_err(failed)?;
    tracing::info!(channel = %at.channel, %upstream, deposit = %asked.deposit, "chaining");
    let args = ChainChannel { owed, nonce, terms };
    let plan = sender(core).chain(upstream, &account, &claim, &asked.sub_service, &args, &at);
    let late = |_| Err(ChainError::Unreachable("no confirmation in time".to_owned()));
    let sent = timeout(TRANSACTION_LIFE, send(core, &plan)).await.unwrap_or_else(late);
    // whatever the sending says, what stands on chain counts
    let failed = |error| ChainingError::Chain { channel: at.channel, error: Box::new(error) };
    let after = core.channels.get(book.incarnation.channel, Freshness::Now).await.ok().flatten();
    let after = after.filter(|account| incarnation(upstream.to_bytes(), account) == book.incarnation);
    let opened = chain::channel(&*core.chain, &core.program_id, &at.channel).await;
    let (transaction, opened) = match (sent, opened) {
        (Ok(confirmation), Ok(Some(opened))) => (Some(confirmation.signature), opened),
        (Err(error), Ok(Some(opened))) => {
            // what is there may be another's: only one that was paid for out of this claim is this one
            let claimed = claimed_of(core, book, &claim, after.as_deref()).await.map_err(failed)?;
            let is_booked = claimed.is_some_and(|claimed| claimed >= owed);
            if !is_booked || !is_as_asked(&opened, &upstream, asked, &args) {
                return Err(failed(error));
            }
            (None, opened)
        }
        (Err(error), _) | (Ok(_), Err(error)) => return Err(failed(error)),
        (Ok(_), Ok(None)) => {
            let lagging = "confirmed, but the node does not show it yet".to_owned();
            return Err(failed(ChainError::Unreachable(lagging)));
        }
    };
    note_claimed(core, book, &claim, owed, after.as_deref()).await;
    core.metrics.settling.chained(asked.deposit);
    let chained = MoneyKind::Chained { into: at.channel, paid: asked.deposit, transaction };
    core.tell(book.incarnation, chained);
    Ok(Chained {
        channel: at.channel,
        opened_slot: opened.opened_slot,
        deposit: opened.books.deposited,
        transaction,
    })
}

/// Where a channel to `sub_service` is opened: no channel is there, not even one of a moment ago.
async fn free_address(
    core: &Core,
    upstream: &Address,
    sub_service: &Address,
) -> Result<(u64, ChannelAddress), ChainError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut nonce = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    loop {
        let program_id = &core.program_id;
        let (found, at) = ChannelAddress::cheapest_from(program_id, upstream, sub_service, nonce);
        // lamports alone are in nobody's way
        if chain::channel(&*core.chain, program_id, &at.channel).await?.is_none() {
            return Ok((found, at));
        }
        nonce = found.wrapping_add(1);
    }
}

/// Whether a channel is the one that was to be opened.
fn is_as_asked(opened: &ChannelAccount, upstream: &Address, asked: &SubChannel, args: &ChainChannel) -> bool {
    opened.parent == upstream.to_bytes()
        && opened.recipient == asked.sub_service.to_bytes()
        && opened.nonce == args.nonce
        && opened.terms == args.terms
        // anybody may have topped it up
        && opened.books.deposited >= asked.deposit
}

/// What the program would refuse, whoever signed.
fn check(account: &ChannelAccount, asked: &SubChannel, terms: &Terms) -> Result<(), Rejection> {
    if account.books.closing {
        return Err(Rejection::Closing);
    }
    if asked.deposit.is_zero() {
        return Err(Rejection::ZeroAmount);
    }
    if asked.sub_service.to_bytes() == account.funder {
        return Err(Rejection::SelfPayment);
    }
    chained_depth(account.chain_depth, &account.terms, terms).map(|_| ())
}

/// The first signer that owes `deposit` and may be claimed from now, and what it then owes in all.
fn choose(
    account: &ChannelAccount,
    claims: Vec<Claim>,
    deposit: Amount,
    now: i64,
) -> Result<(Claim, Amount), ChainingError> {
    let mut refusal = None;
    let mut most = Amount::ZERO;
    for claim in claims {
        let claimed = claim.authority.books().claimed;
        most = most.max(claim.record.spent.checked_sub(claimed).unwrap_or(Amount::ZERO));
        let Some(owed) = claimed.checked_add(deposit).filter(|owed| *owed <= claim.record.spent) else {
            continue;
        };
        match claim.authority.settle(account, claim.record.seq, owed, now) {
            Ok(_) => return Ok((claim, owed)),
            Err(rejection) => refusal = refusal.or(Some(rejection)),
        }
    }
    Err(refusal.map_or(ChainingError::NotOwed { deposit, owed: most }, ChainingError::Rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::{Bench, CHANNEL, Fate};

    fn asked() -> SubChannel {
        SubChannel {
            sub_service: Address::from([9; 32]),
            deposit: Amount::new(10),
            unit_price: UnitPrice::ONE,
            rate_limit: Amount::new(10),
            settle_interval: 60,
            close_grace: 3_600,
        }
    }

    /// The channel that was asked for, whoever opened it.
    fn opened(bench: &Bench) -> ChannelAccount {
        let mut account = bench.account();
        let terms =
            Terms { unit_price: 1, rate_limit: 10, settle_interval: 60, close_grace: 3_600, ..account.terms };
        (account.recipient, account.parent, account.terms) = ([9; 32], CHANNEL, terms);
        account.books.deposited = Amount::new(10);
        account
    }

    async fn chain(bench: &Bench) -> Result<Chained, ChainingError> {
        bench.chain.change_channel(|account| account.terms.max_chain_depth = 1);
        let service = bench.service_with(bench.config()).await;
        let admission = service.authorize(&bench.credential(10).await, Amount::new(10)).await.unwrap();
        admission.charge(Amount::new(10)).await.unwrap();
        service.chain(&CHANNEL.into(), asked()).await
    }

    #[tokio::test]
    async fn a_channel_that_was_not_paid_for_out_of_the_claim_is_not_taken_for_the_one_asked_for() {
        let bench = Bench::new();
        let mut other = opened(&bench);
        other.terms.max_chain_depth = 1;
        bench.chain.fate(Fate::LostBeside(Box::new(other)));
        let failed = chain(&bench).await.unwrap_err();
        assert!(matches!(failed, ChainingError::Chain { .. }), "{failed}");
        assert_eq!(bench.chain.sent(), 1);
    }

    #[test]
    fn only_the_channel_that_was_asked_for_is_as_asked() {
        let bench = Bench::new();
        let (good, upstream) = (opened(&bench), Address::from(CHANNEL));
        let args = ChainChannel { owed: Amount::new(10), nonce: good.nonce, terms: good.terms };
        let is = |change: fn(&mut ChannelAccount)| {
            let mut account = good.clone();
            change(&mut account);
            is_as_asked(&account, &upstream, &asked(), &args)
        };
        assert!(is(|_| ()) && is(|account| account.books.deposited = Amount::new(11)));
        let others: [fn(&mut ChannelAccount); 5] = [
            |account| account.parent = [1; 32],
            |account| account.recipient = [1; 32],
            |account| account.nonce = 99,
            |account| account.terms.rate_limit = 9,
            |account| account.books.deposited = Amount::new(9),
        ];
        assert!(others.iter().all(|change| !is(*change)));
    }

    #[tokio::test]
    async fn an_address_at_which_a_channel_is_already_is_not_chosen() {
        let bench = Bench::new();
        let service = bench.service_with(bench.config()).await;
        let (upstream, sub_service) = (Address::from(CHANNEL), Address::from([9; 32]));
        let (nonce, first) = free_address(&service.core, &upstream, &sub_service).await.unwrap();
        // whatever the time is by then, up to an hour
        let mut next = nonce;
        let later = loop {
            let program_id = &service.core.program_id;
            let (found, at) = ChannelAddress::cheapest_from(program_id, &upstream, &sub_service, next);
            bench.another(at.channel.to_bytes());
            next = found.wrapping_add(1);
            if found > nonce.saturating_add(2_000) {
                break at;
            }
        };
        let (chosen, at) = free_address(&service.core, &upstream, &sub_service).await.unwrap();
        assert!(chosen >= next && ![first.channel, later.channel].contains(&at.channel));
    }
}
