//! Channels as their operator sees them. Nothing is decided by it.

use std::sync::Arc;
use std::time::Duration;

use amp_protocol::money::{Amount, Seq};
use amp_protocol::rules::closable_from;
use serde::Serialize;
use solana_address::Address;

use super::books::Book;
use super::channels::Channel;
use super::ledger::SignerId;
use super::service::AmpService;
use super::store::Incarnation;
use super::views::Freshness;

/// What all channels together say. Amounts are base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Channels that are served.
    pub open: u64,
    /// Channels that gave out their close statement.
    pub stopped: u64,
    /// Channels whose funder asked for the close.
    pub closing: u64,
    /// Requests that were admitted and not answered yet.
    pub in_flight: u64,
    /// Charged and on disk, and not settled.
    pub unsettled: Amount,
    /// The same with what is set aside for requests in flight.
    pub exposure: Amount,
    /// What of it is lost unless it is settled within a grace that runs.
    pub at_risk: Amount,
    /// What can't be collected any more.
    pub given_up: Amount,
    /// When (Unix seconds) the first of those graces is over.
    pub first_grace_ends: Option<i64>,
    /// The chain's time now, Unix seconds.
    pub now: i64,
}

/// How a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It is served.
    Open,
    /// Its close statement was given out.
    Stopped,
    /// Its funder asked for the close, on chain.
    Closing,
    /// It is gone from the chain.
    Gone,
}

/// One channel. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its address, base58.
    pub channel: String,
    /// The slot of its opening.
    pub opened_slot: u64,
    /// How it stands.
    pub state: SessionState,
    /// What the chain says; none where that is not known now.
    pub on_chain: Option<SessionOnChain>,
    /// All who ever signed.
    pub signers: Vec<SessionSigner>,
    /// Charged to all of them.
    pub spent: Amount,
    /// What of that was charged to streams that are under way: each is told as one charge when it ends.
    pub streaming: Amount,
    /// Charged and on disk, and not settled.
    pub unsettled: Amount,
    /// The same with what is set aside for requests in flight.
    pub exposure: Amount,
    /// What of it is lost unless it is settled before [`Self::grace_ends`].
    pub at_risk: Amount,
    /// What can't be collected any more.
    pub given_up: Amount,
    /// When (Unix seconds) the first grace is over that runs.
    pub grace_ends: Option<i64>,
    /// Requests that were admitted and not answered yet.
    pub in_flight: usize,
    /// What the close statement says is owed in all, where one was given out.
    pub statement: Option<Amount>,
}

/// A channel's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionOnChain {
    /// Whose deposit it is, base58.
    pub funder: String,
    /// Deposited in all.
    pub deposited: Amount,
    /// Paid out in all.
    pub claimed: Amount,
    /// Base units that one step of seq authorizes.
    pub unit_price: u64,
    /// Most that may be paid out in a settle interval.
    pub rate_limit: u64,
    /// Seconds between settlements.
    pub settle_interval: u32,
    /// Seconds between a close request and the close.
    pub close_grace: u32,
    /// Unix seconds.
    pub opened_at: i64,
    /// Unix seconds from when on the funder can close it; none: it did not ask.
    pub closable_from: Option<i64>,
}

/// Who signed. Amounts are base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionSigner {
    /// Its key, base58.
    pub signer: String,
    /// The slot in which its authority was created.
    pub epoch: u64,
    /// Whether it is a delegate; none where the channel's account is not known.
    pub is_delegate: Option<bool>,
    /// The highest accepted seq.
    pub seq: Seq,
    /// The most that may be charged for that; none where the channel's account is not known.
    pub ceiling: Option<Amount>,
    /// Charged so far.
    pub spent: Amount,
    /// Charged calls.
    pub calls: u64,
    /// Unix seconds of the first charged call.
    pub period_start: i64,
    /// Unix seconds of the last charged call.
    pub period_end: i64,
    /// Set aside for requests in flight.
    pub reserved: Amount,
}

impl AmpService {
    /// What all channels together say: what the metrics show, at once.
    pub async fn overview(&self) -> Overview {
        let survey = self.core.survey().await;
        Overview {
            open: survey.open,
            stopped: survey.stopped,
            closing: survey.closing,
            in_flight: survey.in_flight,
            unsettled: survey.unsettled,
            exposure: survey.exposure,
            at_risk: survey.at_risk,
            given_up: survey.given_up,
            first_grace_ends: survey.first_grace_ends,
            now: self.core.time.now(),
        }
    }

    /// All channels that have books, in order; those that are gone for an hour at most.
    pub fn incarnations(&self) -> Vec<Incarnation> {
        let mut all: Vec<_> = self.core.books.all().iter().map(|book| book.incarnation).collect();
        all.sort_unstable();
        all
    }

    /// One channel. Where nothing was seen of it lately, its account is read.
    pub async fn session(&self, incarnation: &Incarnation) -> Option<Session> {
        let book = self.core.books.find(incarnation)?;
        let on_chain = match self.seen_lately(&book) {
            Some(account) => Some(account),
            None if book.has_ended() => None,
            None => self.core.channels.get(incarnation.channel, Freshness::Cached).await.ok().flatten(),
        };
        Some(describe(&book, on_chain.filter(|account| account.opened_slot == incarnation.opened_slot)))
    }

    /// The same as it was seen last: the chain is not asked.
    pub fn session_as_seen(&self, incarnation: &Incarnation) -> Option<Session> {
        let book = self.core.books.find(incarnation)?;
        Some(describe(&book, self.seen_lately(&book)))
    }

    /// The channel's account, where a watch has seen it lately.
    fn seen_lately(&self, book: &Book) -> Option<Arc<Channel>> {
        let core = &self.core;
        // each watch sees all
        let lately = core.config.watch_interval.saturating_mul(2).max(Duration::from_secs(60));
        let view = core.channels.younger_than(book.incarnation.channel, lately)?;
        view.filter(|account| !book.has_ended() && account.opened_slot == book.incarnation.opened_slot)
    }
}

fn describe(book: &Book, on_chain: Option<Arc<Channel>>) -> Session {
    let incarnation = &book.incarnation;
    let noted = book.noted();
    let ledger = book.ledger();
    let stake = ledger.stake();
    let authorized = on_chain.as_ref().map(|account| SignerId::authorized(account));
    let unit_price = on_chain.as_ref().and_then(|account| account.terms.unit_price().ok());
    let signers: Vec<SessionSigner> = ledger
        .all_signers()
        .map(|(id, signer)| {
            let live = &signer.live;
            SessionSigner {
                signer: Address::from(id.key).to_string(),
                epoch: id.epoch,
                is_delegate: authorized.map(|authorized| authorized != *id),
                seq: live.seq,
                ceiling: unit_price.map(|price| price.ceiling(live.seq).amount().unwrap_or(Amount::MAX)),
                spent: live.spent,
                calls: live.calls,
                period_start: live.period_start,
                period_end: live.period_end,
                reserved: signer.reserved,
            }
        })
        .collect();
    let closing = noted.is_some_and(|noted| noted.closing)
        || on_chain.as_ref().is_some_and(|account| account.books.closing);
    let state = match (book.has_ended(), closing, ledger.stopped_at.is_some()) {
        (true, ..) => SessionState::Gone,
        (_, true, _) => SessionState::Closing,
        (_, _, true) => SessionState::Stopped,
        _ => SessionState::Open,
    };
    Session {
        channel: Address::from(incarnation.channel).to_string(),
        opened_slot: incarnation.opened_slot,
        state,
        spent: signers
            .iter()
            .try_fold(Amount::ZERO, |sum, signer| sum.checked_add(signer.spent))
            .unwrap_or(Amount::MAX),
        signers,
        streaming: ledger.charged_to_streams(),
        unsettled: stake.unsettled,
        exposure: stake.exposure,
        at_risk: noted.map_or(Amount::ZERO, |noted| noted.at_risk(stake.unsettled)),
        given_up: stake.given_up,
        grace_ends: noted.and_then(|noted| noted.grace_ends),
        in_flight: ledger.in_flight(),
        statement: ledger.statement.as_ref().map(|statement| statement.owed_total),
        on_chain: on_chain.map(|account| SessionOnChain {
            funder: Address::from(account.funder).to_string(),
            deposited: account.books.deposited,
            claimed: account.books.claimed,
            unit_price: account.terms.unit_price,
            rate_limit: account.terms.rate_limit,
            settle_interval: account.terms.settle_interval,
            close_grace: account.terms.close_grace,
            opened_at: account.opened_at,
            closable_from: account
                .books
                .closing
                .then(|| closable_from(account.closing_at, account.terms.close_grace))
                .flatten(),
        }),
    }
}
