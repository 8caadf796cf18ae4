//! Closing: with the service's close statement at once, or without it after the grace period.

use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::{CloseResponse, SignedCloseStatement};
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{self, Closer};
use solana_address::Address;
use solana_instruction::Instruction;

use super::Client;
use super::config::Funding;
use super::delegate::Delegates;
use super::error::{ClientError, ProofFailure};
use super::operation::Operation;
use super::policy::PolicyError;
use super::service::Service;
use super::store::{ChannelRecord, ChannelState, unix_seconds};
use crate::chain::instructions::{self, CloseParties};
use crate::chain::{
    ChainError, ComputeBudget, Confirmation, Plan, associated_token_address, create_token_account,
    has_token_account,
};
use crate::signed::verify_close_statement;

/// How often and how long a close waits for the slot of the opening, or of the delegation, to pass.
pub(super) const TRIES: u32 = 8;
pub(super) const SLOT: Duration = Duration::from_millis(400);

/// What a close came to.
#[derive(Debug)]
pub enum CloseOutcome {
    /// The channel is closed and the rest of the deposit is back.
    Closed {
        /// Base units that came back to the funder.
        refund: Amount,
        /// Base units that this close paid to the service.
        payout: Amount,
        /// The transaction.
        confirmation: Confirmation,
    },
    /// A close was requested, now or earlier, because the service gave no usable close statement. Call
    /// `close` again from this time on.
    Requested {
        /// Unix seconds from which the channel can be closed.
        closable_from: i64,
        /// Why there was no cooperative close.
        reason: Box<ClientError>,
    },
    /// Someone else had closed it: the recipient, or an earlier run. The refund is with the funder.
    AlreadyClosed,
    /// The opening never took place.
    NeverOpened,
}

impl Client {
    /// Closes the channel to the service of this URL: with its statement at once; where it gives none,
    /// by a request, and by a second call after the grace period.
    ///
    /// A statement over more than this client agreed to and signed for is not used. What delegates spent
    /// is in it too, and of that only they know: for each of them the service is believed up to its
    /// limit. To bound what a delegate can be said to have spent, give it a small limit; a delegation that
    /// was revoked or has expired counts with what was claimed once its grace has passed. Afterwards the
    /// channel's delegations are closed, as far as that works, and their rent comes back.
    pub async fn close(&self, url: &str) -> Result<CloseOutcome, ClientError> {
        self.inner.settings.funding("close a channel")?;
        let service = self.service_of(url)?;
        let record = self.unfinished(&service).await?;
        self.close_record(&service, record).await
    }

    pub(super) async fn close_record(
        &self,
        service: &Service,
        record: ChannelRecord,
    ) -> Result<CloseOutcome, ClientError> {
        let _gate = service.gate.lock().await;
        let outcome = self.close_channel(service, &record).await?;
        if matches!(outcome, CloseOutcome::Closed { .. } | CloseOutcome::AlreadyClosed) {
            // as it was stored meanwhile: its opening may have been seen just now
            let record = self.inner.store.load(record.id).await?;
            self.sweep_delegations(&record).await;
        }
        Ok(outcome)
    }

    async fn close_channel(
        &self,
        service: &Service,
        record: &ChannelRecord,
    ) -> Result<CloseOutcome, ClientError> {
        self.check_network_of(record)?;
        service.forget(record.id);
        let record = match record.state {
            ChannelState::Opening => match self.look_for_opening(record).await? {
                Some(record) => record,
                None => {
                    self.drop_if_stale(record).await?;
                    return Ok(CloseOutcome::NeverOpened);
                }
            },
            _ => record.clone(),
        };
        let account = match self.incarnation(&record).await? {
            Some(account) => account,
            None => {
                self.gone(service, &record).await?;
                // unless the first look was at a node that lags
                match self.incarnation(&record).await? {
                    Some(account) => account,
                    None => return Ok(CloseOutcome::AlreadyClosed),
                }
            }
        };
        // the channel was read before its delegations: a settlement in between is then counted once
        let delegates = self.known_delegates(&record).await?;
        // from here on nothing more is signed for, in any process
        self.inner.store.set_state(record.id, ChannelState::Closing, Amount::ZERO).await?;
        if account.books.closing && self.chain().clock().await?.unix_timestamp >= closable_from(&account) {
            return self.finish(&record, &account, None).await;
        }
        match self.cooperate(service, &record, &account, &delegates).await {
            Ok(statement) => match self.finish(&record, &account, Some(&statement)).await {
                // a payout account that can't be paid, or is not there, must not hold the refund
                Err(
                    reason @ (ClientError::Chain(ChainError::Rejected(_) | ChainError::Failed { .. })
                    | ClientError::Policy(PolicyError::RecipientRent { .. })),
                ) => self.force(&record, &account, reason).await,
                outcome => outcome,
            },
            Err(reason) => self.force(&record, &account, reason).await,
        }
    }

    /// Asks the service for its close statement and checks it. Of the total as much may be the delegates' as
    /// the service shows that they have signed for.
    async fn cooperate(
        &self,
        service: &Service,
        record: &ChannelRecord,
        account: &ChannelAccount,
        delegates: &Delegates,
    ) -> Result<SignedCloseStatement, ClientError> {
        // the newest there is: a new one would authorize what was never served
        let seq = self.inner.store.load(record.id).await?.ledger.last_signed;
        let CloseResponse { close_statement: statement, delegates: shown } =
            self.ask(service, record, Operation::Close, seq).await?;
        let origin = || service.name.clone();
        check_statement(&statement, record).map_err(|reason| ClientError::BadProof {
            origin: origin(),
            what: "close statement",
            reason,
        })?;
        // the books by now: calls that ended while the service finished count. Lost calls are agreed to
        // beyond what was signed, and the statement's payout is bound by no credential: so both bounds
        let ledger = self.inner.store.load(record.id).await?.ledger;
        let check = |delegates: &Delegates| {
            let delegated = delegates.spent_at_most(record, account, &shown);
            ledger.check_total(statement.owed_total, delegated, account.books.deposited)
        };
        let mut checked = check(delegates);
        // a search is not every node's to answer, so it is the last resort
        if checked.is_err()
            && account.delegated_slot != 0
            && let Ok(all) = self.all_delegates(record).await
        {
            checked = check(&all);
        }
        checked
            .map(|()| statement)
            .map_err(|overcharge| ClientError::Overcharged { origin: origin(), overcharge })
    }

    async fn force(
        &self,
        record: &ChannelRecord,
        account: &ChannelAccount,
        reason: ClientError,
    ) -> Result<CloseOutcome, ClientError> {
        let settings = &self.inner.settings;
        let funding = settings.funding("close a channel")?;
        if !account.books.closing {
            let funder = funding.funder.public_key();
            let request = instructions::request_close(&settings.program_id, &record.channel, &funder);
            match self.send_close(funding, ComputeBudget::request_close(), vec![request]).await {
                Ok(_) => {}
                // another process was faster
                Err(ChainError::Rejected(Rejection::AlreadyClosing)) => {}
                Err(error) => return Err(error.into()),
            }
            tracing::warn!(channel = %record.channel, origin = %record.origin, %reason, "requested a close without the service");
        }
        let mut seen = None;
        for _ in 0..TRIES {
            match self.incarnation(record).await {
                Ok(Some(account)) if account.books.closing => {
                    seen = Some(closable_from(&account));
                    break;
                }
                Ok(None) => return Ok(CloseOutcome::AlreadyClosed),
                // what was sent and confirmed is told, whether or not a node shows it
                Ok(Some(_)) | Err(_) => tokio::time::sleep(SLOT).await,
            }
        }
        let closable_from = match seen {
            Some(from) => from,
            None => self.closable_once_requested(account).await,
        };
        Ok(CloseOutcome::Requested { closable_from, reason: Box::new(reason) })
    }

    /// From when on a channel can be closed whose close was requested a moment ago, or before: by the cluster's
    /// clock, by this machine's where no node tells that.
    pub(super) async fn closable_once_requested(&self, account: &ChannelAccount) -> i64 {
        if account.books.closing {
            return closable_from(account);
        }
        let now = self.chain().clock().await.map_or_else(|_| unix_seconds(), |clock| clock.unix_timestamp);
        rules::closable_from(now, account.terms.close_grace).unwrap_or(i64::MAX)
    }

    /// Sends the close itself.
    async fn finish(
        &self,
        record: &ChannelRecord,
        account: &ChannelAccount,
        statement: Option<&SignedCloseStatement>,
    ) -> Result<CloseOutcome, ClientError> {
        let settings = &self.inner.settings;
        let funding = settings.funding("close a channel")?;
        let (funder, payer) = (funding.funder.public_key(), funding.rent_payer.public_key());
        let token_account =
            |owner: &Address| associated_token_address(owner, &record.mint, &record.token_program);
        let mut before = Vec::new();
        for owner in [Some(&funder), statement.map(|_| &record.recipient)].into_iter().flatten() {
            let token_account = token_account(owner);
            if !has_token_account(self.chain(), &token_account).await? {
                if *owner == record.recipient && !settings.options.policy.pay_recipient_rent {
                    return Err(PolicyError::RecipientRent { token_account }.into());
                }
                before.push(create_token_account(&payer, owner, &record.mint, &record.token_program));
            }
        }
        let created = u32::try_from(before.len()).unwrap_or_default();
        before.extend(statement.map(|signed| instructions::close_statement(&record.recipient, signed)));
        before.push(instructions::close_channel(
            &self.keys(record),
            &CloseParties {
                closer: funder,
                refund_token: token_account(&funder),
                rent_payer: Address::from(account.rent_payer),
                payout_token: statement.map(|_| token_account(&record.recipient)),
            },
        ));
        let confirmation =
            self.send_close(funding, ComputeBudget::close().with_token_accounts(created), before).await?;
        let owed = statement.map_or(account.books.claimed, |statement| statement.owed_total);
        let books = &account.books;
        let closer = Closer::FunderWithStatement(owed);
        let done =
            rules::close(closer, books.deposited, books.claimed, 0, 0, 0).map_err(ChainError::Rejected)?;
        let refund = books.deposited.checked_sub(done.claimed).unwrap_or(Amount::ZERO);
        self.inner.store.set_state(record.id, ChannelState::Closed, refund).await?;
        tracing::info!(channel = %record.channel, %refund, payout = %done.payout, signature = %confirmation.signature, "closed a channel");
        Ok(CloseOutcome::Closed { refund, payout: done.payout, confirmation })
    }

    /// Sends, and again where the channel is still in the slot it was opened in, or last delegated from.
    pub(super) async fn send_close(
        &self,
        funding: &Funding,
        budget: ComputeBudget,
        instructions: Vec<Instruction>,
    ) -> Result<Confirmation, ChainError> {
        let payer = funding.rent_payer.public_key();
        let fee = self.inner.settings.options.priority_fee;
        let plan = Plan::new(payer, budget, fee, instructions);
        let mut tries = 0_u32;
        loop {
            tries = tries.saturating_add(1);
            match plan.send(self.chain(), &[&*funding.funder, &*funding.rent_payer]).await {
                Err(ChainError::Rejected(
                    Rejection::ClosedInOpeningSlot | Rejection::ClosedInDelegationSlot,
                )) if tries < TRIES => {
                    tokio::time::sleep(SLOT).await;
                }
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn incarnation(
        &self,
        record: &ChannelRecord,
    ) -> Result<Option<ChannelAccount>, ClientError> {
        let account = self.account(&record.channel).await?;
        Ok(account.filter(|account| account.opened_slot == record.opened_slot))
    }
}

pub(super) fn closable_from(account: &ChannelAccount) -> i64 {
    rules::closable_from(account.closing_at, account.terms.close_grace).unwrap_or(i64::MAX)
}

/// Whether the statement is the recipient's, for this channel in this incarnation.
fn check_statement(statement: &SignedCloseStatement, record: &ChannelRecord) -> Result<(), ProofFailure> {
    statement.check(&record.channel.to_bytes(), record.opened_slot).map_err(ProofFailure::About)?;
    if !verify_close_statement(statement, &record.recipient.to_bytes()) {
        return Err(ProofFailure::Signature);
    }
    Ok(())
}
