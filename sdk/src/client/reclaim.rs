//! What a funder does about channels by their address alone: those that were chained below its own, of which no
//! store knows, and its own ones whose service is gone or whose store is lost. It asks for their close, and after
//! the grace has the rest back, whoever stands between.

use amp_protocol::account::ChannelAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use solana_address::Address;

use super::close::closable_from;
use super::config::Funding;
use super::{ChannelState, Client, ClientError};
use crate::chain::instructions::{self, ChannelKeys, CloseParties};
use crate::chain::{
    self, ChainError, ComputeBudget, Confirmation, associated_token_address, create_token_account,
};

/// How far a channel is on its way back.
#[derive(Debug)]
pub enum Reclaimed {
    /// Its close is requested, now or earlier. Call `reclaim` again from this time on (Unix seconds).
    Requested {
        /// Unix seconds from which it can be closed.
        closable_from: i64,
    },
    /// It is closed.
    Closed {
        /// Base units that came back to the funder.
        refund: Amount,
        /// The transaction.
        confirmation: Confirmation,
    },
    /// There is no such channel, or no more: a refund is with the funder.
    AlreadyClosed,
}

impl Client {
    /// The channels that services have chained below channels of this client's funder, as they are on
    /// chain now, with their addresses. Takes a node that searches program accounts.
    ///
    /// A service can chain on what it has already claimed: after `reclaim` look again.
    pub async fn chained_channels(&self) -> Result<Vec<(Address, ChannelAccount)>, ClientError> {
        let funder = self.inner.settings.funding("list chained channels")?.funder.public_key();
        let program_id = &self.inner.settings.program_id;
        let found = chain::channels_funded_by(self.chain(), program_id, &funder).await?;
        Ok(found.into_iter().filter(|(_, account)| account.chain_depth > 0).collect())
    }

    /// Takes the next step to get back what is left in a chained channel: requests its close, or, once
    /// the grace has passed, closes it. Its recipient can claim meanwhile what the service above it
    /// signed for.
    pub async fn reclaim(&self, channel: &Address) -> Result<Reclaimed, ClientError> {
        let funding = self.inner.settings.funding("reclaim a chained channel")?;
        let funder = funding.funder.public_key();
        let Some(account) = self.account(channel).await? else {
            self.check_cluster_of_address(channel).await?;
            return Ok(Reclaimed::AlreadyClosed);
        };
        if account.funder != funder.to_bytes() || account.chain_depth == 0 {
            return Err(ClientError::NotChained { channel: *channel });
        }
        self.step(funding, channel, account).await
    }

    /// Requests the close of a channel by its address alone, whether or not the store knows it, without
    /// asking its service; where a close is requested already, says from when on it works. For services that
    /// are known to be gone: [`Client::close`] asks the service first, and takes no grace period.
    pub async fn request_close(&self, channel: &Address) -> Result<Reclaimed, ClientError> {
        let funding = self.inner.settings.funding("request a close")?;
        let Some(account) = self.own_account(funding, channel).await? else {
            return Ok(Reclaimed::AlreadyClosed);
        };
        let opened_slot = account.opened_slot;
        let requested = self.request(funding, channel, account).await?;
        self.mark(channel, opened_slot, &requested).await?;
        Ok(requested)
    }

    /// Closes a channel by its address alone, whether or not the store knows it, once its close is requested
    /// and the grace has passed; before that, the same as [`Client::request_close`].
    pub async fn close_by_address(&self, channel: &Address) -> Result<Reclaimed, ClientError> {
        let funding = self.inner.settings.funding("close a channel")?;
        let Some(account) = self.own_account(funding, channel).await? else {
            return Ok(Reclaimed::AlreadyClosed);
        };
        let opened_slot = account.opened_slot;
        let outcome = self.step(funding, channel, account).await?;
        self.mark(channel, opened_slot, &outcome).await?;
        Ok(outcome)
    }

    /// The account of a channel of this client's funder, or `None` once it is gone.
    async fn own_account(
        &self,
        funding: &Funding,
        channel: &Address,
    ) -> Result<Option<ChannelAccount>, ClientError> {
        let Some(account) = self.account(channel).await? else {
            self.check_cluster_of_address(channel).await?;
            return Ok(None);
        };
        let funder = Address::from(account.funder);
        if funder != funding.funder.public_key() {
            return Err(ClientError::NotTheFunder { channel: *channel, funder });
        }
        Ok(Some(account))
    }

    /// Nothing more is signed for, here and in other processes over this store.
    async fn mark(
        &self,
        channel: &Address,
        opened_slot: u64,
        outcome: &Reclaimed,
    ) -> Result<(), ClientError> {
        let (state, refund) = match outcome {
            Reclaimed::Requested { .. } => (ChannelState::Closing, Amount::ZERO),
            Reclaimed::Closed { refund, .. } => (ChannelState::Closed, *refund),
            Reclaimed::AlreadyClosed => return Ok(()),
        };
        Ok(self.inner.store.set_state_at(*channel, opened_slot, state, refund).await?)
    }

    /// Requests a close, or, once the grace of one that was requested has passed, closes.
    async fn step(
        &self,
        funding: &Funding,
        channel: &Address,
        account: ChannelAccount,
    ) -> Result<Reclaimed, ClientError> {
        let is_over =
            account.books.closing && self.chain().clock().await?.unix_timestamp >= closable_from(&account);
        match is_over {
            true => self.finish_by_address(funding, channel, &account).await,
            false => self.request(funding, channel, account).await,
        }
    }

    async fn request(
        &self,
        funding: &Funding,
        channel: &Address,
        account: ChannelAccount,
    ) -> Result<Reclaimed, ClientError> {
        if account.books.closing {
            return Ok(Reclaimed::Requested { closable_from: closable_from(&account) });
        }
        let program_id = &self.inner.settings.program_id;
        let request = instructions::request_close(program_id, channel, &funding.funder.public_key());
        let sent = self.send_close(funding, ComputeBudget::request_close(), vec![request]).await;
        if !matches!(sent, Ok(_) | Err(ChainError::Rejected(Rejection::AlreadyClosing))) {
            sent?;
        }
        let from = match self.account(channel).await {
            Ok(Some(now)) if now.books.closing => closable_from(&now),
            // a node that lags, or is away by now: the request was confirmed
            _ => self.closable_once_requested(&account).await,
        };
        Ok(Reclaimed::Requested { closable_from: from })
    }

    async fn finish_by_address(
        &self,
        funding: &Funding,
        channel: &Address,
        account: &ChannelAccount,
    ) -> Result<Reclaimed, ClientError> {
        let program_id = self.inner.settings.program_id;
        let funder = funding.funder.public_key();
        let mint = Address::from(account.mint);
        let token_program = chain::mint(self.chain(), &mint).await?.token_program;
        let refund_token = associated_token_address(&funder, &mint, &token_program);
        let payer = funding.rent_payer.public_key();
        let (mut all, mut budget) = (Vec::new(), ComputeBudget::close());
        if !chain::has_token_account(self.chain(), &refund_token).await? {
            all.push(create_token_account(&payer, &funder, &mint, &token_program));
            budget = budget.with_token_accounts(1);
        }
        let vault = Address::from(account.vault);
        let keys = ChannelKeys { program_id, channel: *channel, vault, mint, token_program };
        let rent_payer = Address::from(account.rent_payer);
        let parties = CloseParties { closer: funder, refund_token, rent_payer, payout_token: None };
        all.push(instructions::close_channel(&keys, &parties));
        let confirmation = self.send_close(funding, budget, all).await?;
        let refund = account.books.balance().map_err(ChainError::Rejected)?;
        tracing::info!(%channel, %refund, "closed a channel without its service");
        Ok(Reclaimed::Closed { refund, confirmation })
    }
}
