use amp_protocol::account::ChannelAccount;
use amp_protocol::instruction::ChainChannel;
use amp_protocol::json::DiscoveryDocument;
use amp_protocol::money::{Amount, UnitPrice};
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Terms, chained_depth};
use solana_address::Address;
use solana_signature::Signature;

use super::claim::{self, Claim};
use super::settler::{send, sender};
use crate::chain::{self, ChainError, ChannelAddress};
use crate::server::books::Book;
use crate::server::clock::unix_now;
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

/// Chains a channel below the one of `book`. Runs in the settlement worker: a settlement of the same
/// signer under way would make this one too early.
pub(super) async fn chain(core: &Core, book: &Book, asked: &SubChannel) -> Result<Chained, ChainingError> {
    let upstream = Address::from(book.incarnation.channel);
    let failed = |error| ChainingError::Chain { channel: upstream, error: Box::new(error) };
    let account = core.channels.get(book.incarnation.channel, Freshness::Now).await.map_err(failed)?;
    let account = account.filter(|account| incarnation(upstream.to_bytes(), account) == book.incarnation);
    let account = account.ok_or(ChainingError::NoChannel(upstream))?;
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

    let nonce = unix_now().unsigned_abs().saturating_mul(1_000);
    let (nonce, at) =
        ChannelAddress::cheapest_from(&core.config.program_id, &upstream, &asked.sub_service, nonce);
    tracing::info!(channel = %at.channel, %upstream, deposit = %asked.deposit, "chaining");
    let args = ChainChannel { owed, nonce, terms };
    let plan = sender(core).chain(upstream, &account, &claim, &asked.sub_service, &args, &at);
    let sent = send(core, &plan).await;
    // whatever the sending says, what stands on chain counts
    let failed = |error| ChainingError::Chain { channel: at.channel, error: Box::new(error) };
    let opened = chain::channel(&*core.chain, &core.config.program_id, &at.channel).await;
    let (transaction, opened) = match (sent, opened) {
        (Ok(confirmation), Ok(Some(opened))) => (Some(confirmation.signature), opened),
        (Err(_), Ok(Some(opened))) => (None, opened),
        (Err(error), _) | (Ok(_), Err(error)) => return Err(failed(error)),
        (Ok(_), Ok(None)) => {
            let lagging = "confirmed, but the node does not show it yet".to_owned();
            return Err(failed(ChainError::Unreachable(lagging)));
        }
    };
    book.ledger().note_claimed(&claim.signer(), owed);
    if let Ok(Some(after)) = core.channels.get(book.incarnation.channel, Freshness::Now).await
        && let Err(error) = core.store.book_claimed(book.incarnation, after.books.claimed).await
    {
        tracing::error!(%error, channel = %book.incarnation, "what was claimed could not be noted");
    }
    Ok(Chained {
        channel: at.channel,
        opened_slot: opened.opened_slot,
        deposit: opened.books.deposited,
        transaction,
    })
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
