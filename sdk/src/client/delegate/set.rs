//! Letting a key spend from a channel, changing how much and for how long, and ending it.

use std::time::Duration;

use amp_protocol::account::DelegationAccount;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Delegation;
use solana_address::Address;
use solana_instruction::Instruction;

use super::{DelegationRecord, Expiry};
use crate::chain::instructions::{self, DelegationParties};
use crate::chain::{ChainError, ComputeBudget, Plan};
use crate::client::config::Funding;
use crate::client::service::Service;
use crate::client::store::{ChannelRecord, ChannelState};
use crate::client::{Client, ClientError};

/// How often and how long a node that lags behind is asked again.
const LOOKS: u32 = 10;
const LOOKS_AFTER_FAILURE: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

impl Client {
    /// Lets another key spend from the open channel to the service of this URL: at most `limit` base units
    /// in all, until it expires. For a key that may already, this raises the limit or moves the expiry; a
    /// limit is never lowered, which [`Client::revoke_delegate`] comes closest to.
    ///
    /// Limits may be given out beyond the deposit, which bounds what all signers spend together. Opens
    /// nothing: call the service, or [`Client::prepare`] it, first. What the program would refuse is
    /// refused here, before a fee is paid. Nothing is sent where the chain has it already, so a call whose
    /// outcome was not seen may be made again.
    pub async fn delegate(
        &self,
        url: &str,
        delegate: &Address,
        limit: Amount,
        expires_at: impl Into<Expiry>,
    ) -> Result<DelegationRecord, ClientError> {
        let expires_at = expires_at.into().unix_seconds();
        let funding = self.inner.settings.funding("delegate")?;
        let service = self.service_of(url)?;
        let _gate = service.gate.lock().await;
        let record = self.spendable_channel(&service).await?;
        let refused = |reason| refused(&record, delegate, reason);
        let account = self.incarnation(&record).await?;
        let account = account.ok_or_else(|| ClientError::NoChannel { origin: service.name.clone() })?;
        if account.books.closing {
            return Err(refused(Rejection::Closing));
        }
        if account.chain_depth != 0 {
            return Err(refused(Rejection::ChainedChannel));
        }
        if account.authorized_signer == delegate.to_bytes() {
            return Err(refused(Rejection::DelegateIsAuthorizedSigner));
        }
        let present = self.delegation_of(&record.channel, &account, delegate).await?;
        let now = self.chain().clock().await?.unix_timestamp;
        // whoever closes it before this lands makes an extension a new delegation, with nothing claimed
        let over = |found: &DelegationAccount| found.delegation.is_over(account.terms.close_grace, now);
        if present.as_ref().is_some_and(over) {
            let (channel, delegate) = (record.channel, *delegate);
            return Err(ClientError::DelegationOver { channel, delegate });
        }
        let wanted = match &present {
            Some(present) => present.delegation.change(limit, expires_at, now),
            None => Delegation::begin(limit, expires_at, now),
        };
        let wanted = wanted.map_err(refused)?;
        if let Some(present) = present.as_ref().filter(|present| present.delegation == wanted) {
            self.seen(&record, present).await?;
            return Ok(DelegationRecord::from(present));
        }
        let present = present.map(|present| present.created_slot);
        self.inner.store.remember_delegate(record.id, *delegate, limit, present).await?;
        let settings = &self.inner.settings;
        let parties = DelegationParties {
            funder: funding.funder.public_key(),
            rent_payer: funding.rent_payer.public_key(),
            channel: record.channel,
            delegate: *delegate,
        };
        let program_id = &settings.program_id;
        let set = instructions::set_delegate(program_id, &parties, limit, expires_at);
        let budget = ComputeBudget::set_delegate(program_id, &record.channel, delegate);
        let sent = self.send_change(funding, budget, set).await;
        let is_set = |now: &Delegation| now.limit >= limit && now.expires_at == expires_at;
        self.after_change(&record, delegate, sent, is_set).await
    }

    /// Stops a delegate from spending anything new from the channel to the service of this URL. What it
    /// signed before can be settled during the channel's close grace. A revoked key can't be delegated to
    /// again before its delegation is closed.
    pub async fn revoke_delegate(
        &self,
        url: &str,
        delegate: &Address,
    ) -> Result<DelegationRecord, ClientError> {
        let funding = self.inner.settings.funding("revoke a delegation")?;
        let service = self.service_of(url)?;
        let _gate = service.gate.lock().await;
        let record = self.unfinished(&service).await?;
        let account = self.incarnation(&record).await?;
        let account = account.ok_or_else(|| ClientError::NoChannel { origin: service.name.clone() })?;
        let present = self.delegation_of(&record.channel, &account, delegate).await?;
        let missing = || ClientError::NoDelegation { channel: record.channel, delegate: *delegate };
        let present = present.ok_or_else(missing)?;
        let now = self.chain().clock().await?.unix_timestamp;
        present.delegation.revoke(now).map_err(|reason| refused(&record, delegate, reason))?;
        let program_id = &self.inner.settings.program_id;
        let funder = funding.funder.public_key();
        let revoke = instructions::revoke_delegate(program_id, &funder, &record.channel, delegate);
        let sent = self.send_change(funding, ComputeBudget::revoke_delegate(), revoke).await;
        self.after_change(&record, delegate, sent, |now| now.revoked_at != 0).await
    }

    /// The open channel to this service: in the store, or on chain where its opening was interrupted.
    async fn spendable_channel(&self, service: &Service) -> Result<ChannelRecord, ClientError> {
        let none = || ClientError::NoChannel { origin: service.name.clone() };
        let record = self.inner.store.current(&service.name).await?.ok_or_else(none)?;
        match record.state {
            ChannelState::Open => Ok(record),
            ChannelState::Opening => self.look_for_opening(&record).await?.ok_or_else(none),
            ChannelState::Disputed => {
                Err(ClientError::Disputed { origin: record.origin, channel: record.channel })
            }
            _ => Err(none()),
        }
    }

    async fn send_change(
        &self,
        funding: &Funding,
        budget: ComputeBudget,
        change: Instruction,
    ) -> Result<(), ChainError> {
        let fee = self.inner.settings.options.priority_fee;
        let plan = Plan::new(funding.rent_payer.public_key(), budget, fee, vec![change]);
        let confirmation = plan.send(self.chain(), &[&*funding.funder, &*funding.rent_payer]).await?;
        tracing::info!(signature = %confirmation.signature, "changed a delegation");
        Ok(())
    }

    /// Reads a change back. Where its sender heard nothing of it, or somebody else was faster, the chain
    /// knows whether it is so.
    async fn after_change(
        &self,
        record: &ChannelRecord,
        delegate: &Address,
        sent: Result<(), ChainError>,
        is_done: impl Fn(&Delegation) -> bool,
    ) -> Result<DelegationRecord, ClientError> {
        let looks = if sent.is_ok() { LOOKS } else { LOOKS_AFTER_FAILURE };
        for look in 0..looks {
            if look > 0 {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            let found = match self.delegation(&record.channel, delegate).await {
                Ok(found) => found.filter(|found| found.channel_opened_slot == record.opened_slot),
                // the failure of the transaction says more than that of the look
                Err(error) => return Err(sent.err().unwrap_or(error).into()),
            };
            if let Some(found) = found.filter(|found| is_done(&found.delegation)) {
                self.seen(record, &found).await?;
                return Ok(DelegationRecord::from(&found));
            }
        }
        sent?;
        Err(ClientError::DelegationPending { channel: record.channel, delegate: *delegate })
    }

    async fn seen(&self, record: &ChannelRecord, found: &DelegationAccount) -> Result<(), ClientError> {
        let (key, limit) = (Address::from(found.delegate), found.delegation.limit);
        Ok(self.inner.store.delegation_seen(record.id, key, limit, found.created_slot).await?)
    }
}

fn refused(record: &ChannelRecord, delegate: &Address, reason: Rejection) -> ClientError {
    ClientError::DelegationRefused { channel: record.channel, delegate: *delegate, reason }
}
