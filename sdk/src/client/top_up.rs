//! Raising a channel's deposit, by hand or when it is used up.

use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;

use super::Client;
use super::error::ClientError;
use super::policy::PolicyError;
use super::service::Service;
use super::store::{ChannelRecord, ChannelState};
use crate::chain::instructions::{self, ChannelKeys};
use crate::chain::{ChainError, ComputeBudget, Plan, associated_token_address};

const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// What became of a wish for more deposit.
pub(super) enum Raised {
    /// The channel has it.
    Done(Box<ChannelRecord>),
    /// There is no such channel any more; the store knows.
    Gone,
}

/// How much: at least `missing`, `usual` where policy and funds have room.
#[derive(Clone, Copy)]
struct Wish {
    missing: Amount,
    usual: Amount,
}

impl Client {
    /// Adds to the deposit of the channel to the service of this URL, within the policy.
    pub async fn top_up(&self, url: &str, amount: Amount) -> Result<ChannelRecord, ClientError> {
        self.inner.settings.funding("top a channel up")?;
        let service = self.service_of(url)?;
        let _gate = service.gate.lock().await;
        let none = || ClientError::NoChannel { origin: service.name.clone() };
        let record = self.inner.store.current(&service.name).await?.ok_or_else(none)?;
        let account = self.live_account(&record).await?.ok_or_else(none)?;
        let record = self.inner.store.deposited(record.id, account.books.deposited).await?;
        let record = self.add(&record, Wish { missing: amount, usual: amount }).await?;
        service.set_channel(record.clone());
        Ok(record)
    }

    /// Sees to it that the channel has at least `needed` deposited.
    pub(super) async fn raise_deposit(
        &self,
        service: &Service,
        id: i64,
        needed: Amount,
        usual: Amount,
    ) -> Result<Raised, ClientError> {
        let _gate = service.gate.lock().await;
        let record = self.inner.store.load(id).await?;
        let Some(account) = self.live_account(&record).await? else {
            self.gone(service, &record).await?;
            return Ok(Raised::Gone);
        };
        // anyone may have topped it up, another task of this process included
        let record = self.inner.store.deposited(id, account.books.deposited).await?;
        let Some(missing) = needed.checked_sub(record.ledger.deposited).filter(|missing| !missing.is_zero())
        else {
            return Ok(Raised::Done(Box::new(record)));
        };
        if !self.inner.settings.options.auto_top_up {
            let (channel, deposited) = (record.channel, record.ledger.deposited);
            return Err(ClientError::NeedsTopUp { channel, deposited, needed });
        }
        self.add(&record, Wish { missing, usual: usual.max(missing) })
            .await
            .map(|record| Raised::Done(Box::new(record)))
    }

    async fn add(&self, record: &ChannelRecord, wish: Wish) -> Result<ChannelRecord, ClientError> {
        let settings = &self.inner.settings;
        let funding = settings.funding("top a channel up")?;
        let policy = &settings.options.policy;
        let at_risk = record.at_risk();
        policy.check_deposit(at_risk.checked_add(wish.missing).unwrap_or(Amount::MAX))?;
        let room = policy.max_deposit.checked_sub(at_risk).unwrap_or(Amount::ZERO);
        let held = self.check_funds(funding, &record.mint, &record.token_program, wish.missing).await?;
        let wanted = wish.usual.min(room).min(held);
        let amount = match self.begin(record, wanted).await? {
            Ok(()) => wanted,
            Err(_) => {
                self.begin(record, wish.missing).await??;
                wish.missing
            }
        };
        let funder = funding.funder.public_key();
        let source = associated_token_address(&funder, &record.mint, &record.token_program);
        let top_up = instructions::top_up(&self.keys(record), &funder, &source, amount);
        let payer = funding.rent_payer.public_key();
        let plan = Plan::new(payer, ComputeBudget::top_up(), settings.options.priority_fee, vec![top_up]);
        match plan.send(self.chain(), &[&*funding.funder, &*funding.rent_payer]).await {
            Ok(confirmation) => {
                tracing::info!(channel = %record.channel, %amount, signature = %confirmation.signature, "topped up");
            }
            // it may land yet: it keeps its place in the limits for as long
            Err(
                error @ (ChainError::Unconfirmed { .. }
                | ChainError::Expired { .. }
                | ChainError::Unreachable(_)),
            ) => {
                return Err(error.into());
            }
            Err(error) => {
                self.inner.store.cancel_top_up(record.id, amount).await?;
                return Err(error.into());
            }
        }
        let expected = record.ledger.deposited.checked_add(amount).unwrap_or(Amount::MAX);
        for _ in 0..LOOKS {
            if let Some(account) =
                self.live_account(record).await?.filter(|now| now.books.deposited >= expected)
            {
                return Ok(self.inner.store.deposited(record.id, account.books.deposited).await?);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(ClientError::OpeningPending { channel: record.channel })
    }

    async fn begin(
        &self,
        record: &ChannelRecord,
        amount: Amount,
    ) -> Result<Result<(), PolicyError>, ClientError> {
        let policy = self.inner.settings.options.policy.clone();
        // against the store as it is now: another process may have begun a top-up too
        let check = move |at_risk: Amount, committed| {
            policy.check_deposit(at_risk.checked_add(amount).unwrap_or(Amount::MAX))?;
            policy.check_budget(committed, amount)
        };
        Ok(self.inner.store.begin_top_up(record.id, amount, check).await?)
    }

    /// The account of a channel, if it is still the incarnation that the record is about and not
    /// closing.
    pub(super) async fn live_account(
        &self,
        record: &ChannelRecord,
    ) -> Result<Option<ChannelAccount>, ClientError> {
        let account = self.account(&record.channel).await?;
        Ok(account.filter(|account| account.opened_slot == record.opened_slot && !account.books.closing))
    }

    /// Books that a channel is closed or closing, and forgets it here.
    pub(super) async fn gone(&self, service: &Service, record: &ChannelRecord) -> Result<(), ClientError> {
        service.forget(record.id);
        let mut account = self.account(&record.channel).await?;
        for _ in 0..3 {
            if account.is_some() {
                break;
            }
            // a node that lags behind shows no channel either, and a live one must not be forgotten
            tokio::time::sleep(BETWEEN_LOOKS).await;
            account = self.account(&record.channel).await?;
        }
        if let Some(account) = account.filter(|account| account.opened_slot == record.opened_slot) {
            // the first look was at a node that lags: the channel lives
            if !account.books.closing {
                return Ok(());
            }
            return Ok(self.inner.store.set_state(record.id, ChannelState::Closing, Amount::ZERO).await?);
        }
        self.check_cluster_of(record).await?;
        // nobody could claim more than was signed for, here and by delegates: the rest went to the funder
        let ledger = self.inner.store.load(record.id).await?.ledger;
        let delegated = self.claimed_by_delegates(record).await?;
        let signed = ledger.signed_for().checked_add(delegated).unwrap_or(Amount::MAX);
        let refunded = ledger.deposited.checked_sub(signed).unwrap_or(Amount::ZERO);
        Ok(self.inner.store.set_state(record.id, ChannelState::Closed, refunded).await?)
    }

    pub(super) fn keys(&self, record: &ChannelRecord) -> ChannelKeys {
        ChannelKeys {
            program_id: self.inner.settings.program_id,
            channel: record.channel,
            vault: record.vault,
            mint: record.mint,
            token_program: record.token_program,
        }
    }
}
