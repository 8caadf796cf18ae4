//! Opening a channel: intent on disk, transaction, and a look at what the chain made of it.

use std::time::Duration;

use amp_protocol::account::ChannelAccount;
use amp_protocol::instruction::OpenChannel;
use amp_protocol::json::DiscoveryDocument;
use amp_protocol::money::{Amount, UnitPrice};
use amp_protocol::rules::Terms;
use solana_address::Address;

use super::Client;
use super::config::Funding;
use super::error::ClientError;
use super::policy::PolicyError;
use super::service::Service;
use super::store::{ChannelRecord, ChannelState, Intent, TRANSACTION_LIFE, unix_seconds};
use crate::chain::{
    self, ChainError, ChannelAddress, ComputeBudget, Plan, associated_token_address, instructions,
};

/// How often and how long a node that lags behind is asked again.
const LOOKS: u32 = 10;
const LOOKS_AFTER_FAILURE: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

impl Client {
    /// The channel to a service: the stored one, one whose opening was interrupted, or a new one if it `may_open`
    /// one. The caller holds the service's gate.
    pub(super) async fn ensure_open(
        &self,
        service: &Service,
        document: &DiscoveryDocument,
        price: Amount,
        may_open: bool,
    ) -> Result<ChannelRecord, ClientError> {
        if self.inner.settings.delegate().is_some() {
            return self.named_channel(service, document).await;
        }
        if let Some(record) = self.inner.store.current(&service.name).await? {
            match record.state {
                ChannelState::Open => {
                    service.check(&record, document)?;
                    return Ok(record);
                }
                ChannelState::Disputed => {
                    return Err(ClientError::Disputed {
                        origin: service.name.clone(),
                        channel: record.channel,
                    });
                }
                _ => {
                    if let Some(adopted) = self.look_for_opening(&record).await? {
                        service.check(&adopted, document)?;
                        return Ok(adopted);
                    }
                    if service.check(&record, document).is_err() {
                        self.drop_if_stale(&record).await?;
                    }
                }
            }
        }
        if !may_open {
            return Err(ClientError::NotOpened { origin: service.name.clone() });
        }
        let record = match self.open_new(service, document, price).await {
            // another process's opening may have taken the tokens since
            Err(poor @ ClientError::InsufficientFunds { .. }) => {
                self.opened_meanwhile(service).await?.ok_or(poor)?
            }
            outcome => outcome?,
        };
        // it may be another process's, for what the service named then
        service.check(&record, document)?;
        Ok(record)
    }

    async fn opened_meanwhile(&self, service: &Service) -> Result<Option<ChannelRecord>, ClientError> {
        match self.inner.store.current(&service.name).await? {
            Some(record) if record.state == ChannelState::Open => Ok(Some(record)),
            Some(record) if record.state == ChannelState::Opening => self.look_for_opening(&record).await,
            _ => Ok(None),
        }
    }

    async fn open_new(
        &self,
        service: &Service,
        document: &DiscoveryDocument,
        price: Amount,
    ) -> Result<ChannelRecord, ClientError> {
        let funding = self.inner.settings.funding("open a channel")?;
        let options = &self.inner.settings.options;
        let deposit = self.usual_deposit(document, price);
        options.policy.check_deposit(deposit)?;
        let terms = self.terms(document, deposit)?;
        let (mint, recipient) = (mint_of(document), Address::from(document.recipient.0));
        let token_program = chain::mint(self.chain(), &mint).await?.token_program;
        self.check_funds(funding, &mint, &token_program, deposit).await?;
        let intent = Intent {
            origin: service.name.clone(),
            funder: funding.funder.public_key(),
            authorized_signer: funding.authorized.public_key(),
            recipient,
            mint,
            token_program,
            rent_payer: funding.rent_payer.public_key(),
            unit_price: options.unit_price,
            deposit,
            nonce: self.free_nonce(funding, &recipient).await?,
        };
        let policy = options.policy.clone();
        let check = move |committed| policy.check_budget(committed, deposit);
        let begun = match self.inner.store.begin_open(intent.clone(), check.clone()).await? {
            Err(PolicyError::Budget { .. }) => {
                self.drop_stale_intents().await?;
                self.inner.store.begin_open(intent, check).await?
            }
            begun => begun,
        };
        let record = begun?;
        if record.state != ChannelState::Opening {
            // another process was faster
            return Ok(record);
        }
        if record.recipient != recipient || record.mint != mint {
            return Err(ClientError::OpeningPending { channel: record.channel });
        }
        let args = OpenChannel { nonce: record.nonce, deposit, terms };
        match self.send_open(funding, &record, &args).await {
            Ok(()) => self.confirm(&record, &args).await,
            Err(error) => self.after_failure(&record, error).await,
        }
    }

    /// Whether an opening landed all the same, or another process's for the same address did, the chain
    /// knows. The intent stays: a transaction of another process over this store may still be under way
    /// to its address. Trying again takes the same nonce, and [`Client::drop_if_stale`] ends it.
    async fn after_failure(
        &self,
        record: &ChannelRecord,
        error: ClientError,
    ) -> Result<ChannelRecord, ClientError> {
        let pending = matches!(
            error,
            ClientError::Chain(
                ChainError::Unconfirmed { .. } | ChainError::Expired { .. } | ChainError::Unreachable(_)
            )
        );
        for _ in 0..LOOKS_AFTER_FAILURE {
            match self.look_for_opening(record).await {
                Ok(Some(adopted)) => return Ok(adopted),
                Ok(None) if !pending => tokio::time::sleep(BETWEEN_LOOKS).await,
                _ => return Err(error),
            }
        }
        Err(error)
    }

    async fn send_open(
        &self,
        funding: &Funding,
        record: &ChannelRecord,
        args: &OpenChannel,
    ) -> Result<(), ClientError> {
        let settings = &self.inner.settings;
        let funder = funding.funder.public_key();
        let parties = instructions::OpenParties {
            funder,
            rent_payer: funding.rent_payer.public_key(),
            recipient: record.recipient,
            authorized_signer: funding.authorized.public_key(),
            funder_token: associated_token_address(&funder, &record.mint, &record.token_program),
        };
        let program_id = &settings.program_id;
        let at = ChannelAddress::derive(program_id, &funder, &record.recipient, record.nonce);
        let open =
            instructions::open_channel(program_id, &parties, &record.mint, &record.token_program, args);
        let plan = Plan::new(
            parties.rent_payer,
            ComputeBudget::open(&at),
            settings.options.priority_fee,
            vec![open],
        );
        let confirmation = plan.send(self.chain(), &[&*funding.funder, &*funding.rent_payer]).await?;
        tracing::info!(channel = %record.channel, origin = %record.origin, deposit = %args.deposit, signature = %confirmation.signature, "opened a channel");
        Ok(())
    }

    /// Reads back what was opened. Nothing is paid on a channel that is not what was asked for.
    async fn confirm(
        &self,
        record: &ChannelRecord,
        args: &OpenChannel,
    ) -> Result<ChannelRecord, ClientError> {
        for _ in 0..LOOKS {
            if let Some(account) = self.account(&record.channel).await? {
                let differs = |field| ClientError::ChannelDiffers { channel: record.channel, field };
                if account.terms != args.terms {
                    return Err(differs("terms"));
                }
                if account.books.deposited < args.deposit {
                    return Err(differs("deposit"));
                }
                return self.adopt_opening(record, &account).await;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(ClientError::OpeningPending { channel: record.channel })
    }

    /// An opening that was begun, here or in an earlier run: on chain by now?
    pub(super) async fn look_for_opening(
        &self,
        record: &ChannelRecord,
    ) -> Result<Option<ChannelRecord>, ClientError> {
        match self.account(&record.channel).await? {
            Some(account) => self.adopt_opening(record, &account).await.map(Some),
            None => Ok(None),
        }
    }

    async fn adopt_opening(
        &self,
        record: &ChannelRecord,
        account: &ChannelAccount,
    ) -> Result<ChannelRecord, ClientError> {
        self.check_identity(record, account)?;
        let unit_price = UnitPrice::new(account.terms.unit_price)
            .ok_or(PolicyError::Terms(amp_protocol::rejection::Rejection::ZeroUnitPrice))?;
        Ok(self.inner.store.opened(record.id, unit_price, account).await?)
    }

    /// Whether the account is this client's channel: its keys, and its address's nonce.
    fn check_identity(&self, record: &ChannelRecord, account: &ChannelAccount) -> Result<(), ClientError> {
        let funding = self.inner.settings.funding("take a channel for its own")?;
        for (field, found, expected) in [
            ("funder", account.funder, funding.funder.public_key()),
            ("recipient", account.recipient, record.recipient),
            ("authorized signer", account.authorized_signer, funding.authorized.public_key()),
            ("mint", account.mint, record.mint),
            ("vault", account.vault, record.vault),
        ] {
            if found != expected.to_bytes() {
                return Err(ClientError::ChannelDiffers { channel: record.channel, field });
            }
        }
        if account.nonce != record.nonce {
            return Err(ClientError::ChannelDiffers { channel: record.channel, field: "nonce" });
        }
        Ok(())
    }

    /// Drops an opening that the chain does not show, once its transaction can't land any more.
    pub(super) async fn drop_if_stale(&self, record: &ChannelRecord) -> Result<(), ClientError> {
        let age = unix_seconds().saturating_sub(record.created_at);
        if age < TRANSACTION_LIFE {
            return Err(ClientError::OpeningPending { channel: record.channel });
        }
        self.check_cluster_of(record).await?;
        if self.inner.store.drop_intent(record.id, record.created_at).await? {
            return Ok(());
        }
        // begun again by another process since it was read
        Err(ClientError::OpeningPending { channel: record.channel })
    }

    /// Openings of other services that never took place keep nothing of the budget.
    async fn drop_stale_intents(&self) -> Result<(), ClientError> {
        for record in self.inner.store.all().await? {
            if record.state != ChannelState::Opening
                || self.is_elsewhere(&record)
                || self.look_for_opening(&record).await?.is_some()
            {
                continue;
            }
            match self.drop_if_stale(&record).await {
                Ok(()) | Err(ClientError::OpeningPending { .. } | ClientError::OtherCluster { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn terms(&self, document: &DiscoveryDocument, deposit: Amount) -> Result<Terms, ClientError> {
        let options = &self.inner.settings.options;
        let offered = document.pricing.default.settle_interval;
        let terms = Terms {
            unit_price: options.unit_price.get(),
            rate_limit: options.rate_limit.unwrap_or(options.policy.max_deposit.max(deposit)).get(),
            settle_interval: options.settle_interval.map_or(offered, |own| own.min(offered)),
            close_grace: options.close_grace.unwrap_or_default().max(document.min_close_grace),
            max_chain_depth: options.max_chain_depth,
        };
        terms.check().map_err(PolicyError::Terms)?;
        let max = options.policy.max_close_grace;
        if terms.close_grace > max {
            return Err(PolicyError::CloseGrace { grace: terms.close_grace, max }.into());
        }
        Ok(terms)
    }

    /// Base units of an opening or a top-up.
    pub(super) fn usual_deposit(&self, document: &DiscoveryDocument, price: Amount) -> Amount {
        const CALLS: u64 = 1_000;
        let options = &self.inner.settings.options;
        let many = price.checked_mul(CALLS).unwrap_or(Amount::MAX).min(options.policy.max_deposit);
        let one = options.unit_price.ceiling(options.unit_price.seq_covering(price));
        let least = document.pricing.default.min_deposit.max(one.amount().unwrap_or(Amount::MAX));
        options.deposit.unwrap_or(many).max(least)
    }

    /// Whether the funder's token account holds this much.
    pub(super) async fn check_funds(
        &self,
        funding: &Funding,
        mint: &Address,
        token_program: &Address,
        needed: Amount,
    ) -> Result<Amount, ClientError> {
        let funder = funding.funder.public_key();
        let token_account = associated_token_address(&funder, mint, token_program);
        let held = chain::token_amount(self.chain(), &token_account).await?;
        if held < needed {
            return Err(ClientError::InsufficientFunds { token_account, mint: *mint, held, needed });
        }
        Ok(held)
    }

    async fn free_nonce(&self, funding: &Funding, recipient: &Address) -> Result<u64, ClientError> {
        let (program_id, funder) = (self.inner.settings.program_id, funding.funder.public_key());
        let mut next = self.inner.store.next_nonce(&funder, recipient).await?;
        loop {
            let (nonce, at) = ChannelAddress::cheapest_from(&program_id, &funder, recipient, next);
            // a client that lost its store finds its old channels in the way
            if self.account(&at.channel).await?.is_none() {
                return Ok(nonce);
            }
            next = nonce.wrapping_add(1);
        }
    }

    /// The channel account at an address.
    pub(super) async fn account(&self, address: &Address) -> Result<Option<ChannelAccount>, ChainError> {
        chain::channel(self.chain(), &self.inner.settings.program_id, address).await
    }
}

pub(super) fn mint_of(document: &DiscoveryDocument) -> Address {
    Address::from(document.pricing.default.token.0)
}
