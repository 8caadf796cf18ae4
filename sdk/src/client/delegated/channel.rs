//! Which channel a delegate pays a service from, and what to do when it does not pay any more.

use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{ChannelStatus, DiscoveryDocument};
use amp_protocol::money::{Amount, Seq, UnitPrice};
use amp_protocol::rejection::Rejection;
use solana_address::Address;

use super::Undelegated;
use super::look::Found;
use crate::chain;
use crate::client::ledger::{Ledger, LedgerError};
use crate::client::open::mint_of;
use crate::client::policy::PolicyError;
use crate::client::recover::proven_seq;
use crate::client::service::Service;
use crate::client::store::{ChannelRecord, ChannelState, Held, HeldDelegation};
use crate::client::{Client, ClientError};

/// How often a service's channel is looked up anew because another task or process named another.
const ROUNDS: u32 = 4;
/// How often and how long a service is given to see a delegation that the chain shows already.
const ASKS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Client {
    /// Pays the service of this URL from a funder's channel, in which this client's key is a delegate, or the
    /// authorized signer: of a chained channel, that is the upstream recipient.
    ///
    /// Checks on chain that the channel is open, that it pays this service in its token, and that the
    /// delegation is live and of this incarnation. The choice is stored. A client that lost its store goes
    /// on where the service says it is, as far as it shows this key's own signature or the chain has paid;
    /// don't let two stores use one key.
    pub async fn use_channel(&self, url: &str, channel: Address) -> Result<ChannelRecord, ClientError> {
        if self.inner.settings.delegate().is_none() {
            return Err(ClientError::NotDelegate);
        }
        let service = self.service_of(url)?;
        let _gate = service.gate.lock().await;
        if let Some(before) = service.channel() {
            service.forget(before.id);
        }
        let document = self.document(&service, true).await?;
        self.check_policy(&document, &service, Amount::ZERO)?;
        match self.adopt(&service, &document, &channel, None).await? {
            Some(record) => Ok((*service.set_channel(record)).clone()),
            None => Err(ClientError::NoChannelNamed { origin: service.name.clone() }),
        }
    }

    /// The channel that was named for a service. The caller holds the service's gate.
    pub(in crate::client) async fn named_channel(
        &self,
        service: &Service,
        document: &DiscoveryDocument,
    ) -> Result<ChannelRecord, ClientError> {
        for _ in 0..ROUNDS {
            let Some(record) = self.inner.store.current(&service.name).await? else { break };
            match record.state {
                ChannelState::Open => {
                    service.check(&record, document)?;
                    return Ok(record);
                }
                ChannelState::Disputed => return Err(disputed(service, &record)),
                _ => {
                    if let Some(record) = self.look(service, document, &record).await? {
                        return Ok(record);
                    }
                }
            }
        }
        Err(ClientError::NoChannelNamed { origin: service.name.clone() })
    }

    /// Looks at the chain again for a channel that pays, or paid. The delegation may have a higher limit,
    /// a larger deposit behind it, or have been made anew: then the channel has other books, and another
    /// `id`. Where the delegate can't spend from it any more the store knows afterwards.
    pub(in crate::client) async fn look_again(
        &self,
        service: &Service,
        record: &ChannelRecord,
    ) -> Result<ChannelRecord, ClientError> {
        let _gate = service.gate.lock().await;
        let document = self.document(service, false).await?;
        service.forget(record.id);
        let found = match self.look(service, &document, record).await? {
            Some(found) => found,
            // another task or process has named another channel, or found this one made anew
            None => self.named_channel(service, &document).await?,
        };
        Ok((*service.set_channel(found)).clone())
    }

    /// Looks at the chain for what the books lack.
    pub(in crate::client) async fn look_for_more(
        &self,
        service: &Service,
        record: &ChannelRecord,
        reason: LedgerError,
    ) -> Result<(), ClientError> {
        let now = self.look_again(service, record).await?;
        let (LedgerError::DepositTooSmall { needed, .. } | LedgerError::LimitTooSmall { needed, .. }) =
            reason
        else {
            return Ok(());
        };
        let ledger = now.ledger;
        if now.id != record.id || ledger.spendable() >= needed {
            return Ok(());
        }
        let reason = match ledger.limit.filter(|limit| *limit < needed) {
            Some(limit) => LedgerError::LimitTooSmall { needed, limit },
            None => LedgerError::DepositTooSmall { needed, deposited: ledger.deposited },
        };
        Err(self.out_of_reach(&now, reason))
    }

    /// What to tell whoever wanted to sign more than the books allow.
    pub(in crate::client) fn out_of_reach(&self, record: &ChannelRecord, reason: LedgerError) -> ClientError {
        let (channel, funder) = (record.channel, record.funder);
        match reason {
            LedgerError::LimitTooSmall { needed, limit } => {
                let delegate = self.inner.settings.signer().public_key();
                ClientError::LimitReached { channel, delegate, limit, needed }
            }
            LedgerError::DepositTooSmall { deposited, .. } => {
                ClientError::FunderMustTopUp { channel, funder, deposited, code: Code::Underfunded }
            }
            LedgerError::Unjustified { .. } => {
                ClientError::Unjustified { origin: record.origin.clone(), reason }
            }
        }
    }

    pub(in crate::client) fn not_delegated(
        &self,
        record: &ChannelRecord,
        reason: Undelegated,
    ) -> ClientError {
        let delegate = self.inner.settings.signer().public_key();
        ClientError::NotDelegated { channel: record.channel, delegate, reason }
    }

    async fn look(
        &self,
        service: &Service,
        document: &DiscoveryDocument,
        record: &ChannelRecord,
    ) -> Result<Option<ChannelRecord>, ClientError> {
        self.check_network_of(record)?;
        let found = self.adopt(service, document, &record.channel, Some(record.id)).await;
        if let Err(ClientError::NotDelegated { reason, .. }) = &found {
            if *reason == Undelegated::NoChannel {
                self.check_cluster_of(record).await?;
            }
            self.inner.store.end(record.id).await?;
        }
        found
    }

    /// Makes the delegation that is on chain the one that pays the service, if it does not pay it by
    /// another channel than the one that was `looked_at`.
    async fn adopt(
        &self,
        service: &Service,
        document: &DiscoveryDocument,
        channel: &Address,
        looked_at: Option<i64>,
    ) -> Result<Option<ChannelRecord>, ClientError> {
        let delegate = self.inner.settings.signer().public_key();
        let Found { account, delegation } = self.find_delegation(channel, &delegate).await?;
        for (field, found, named) in [
            ("recipient", Address::from(account.recipient), Address::from(document.recipient.0)),
            ("mint", Address::from(account.mint), mint_of(document)),
        ] {
            if found != named {
                return Err(ClientError::WrongChannel { channel: *channel, field, found, named });
            }
        }
        let token_program = chain::mint(self.chain(), &Address::from(account.mint)).await?.token_program;
        let unit_price =
            UnitPrice::new(account.terms.unit_price).ok_or(PolicyError::Terms(Rejection::ZeroUnitPrice))?;
        let origin = service.name.clone();
        let held = Held { origin, channel: *channel, token_program, unit_price, account, delegation };
        let books = match self.inner.store.held(&held).await? {
            Some(_) => None,
            None => Some(self.first_books(service, &held).await?),
        };
        match self.inner.store.hold(held, books, looked_at).await? {
            Some(record) if record.state == ChannelState::Disputed => Err(disputed(service, &record)),
            held => Ok(held),
        }
    }

    /// Books to begin with: a delegation that this store does not know may have been used by one that was
    /// lost, and only the service knows how far.
    async fn first_books(&self, service: &Service, held: &Held) -> Result<Ledger, ClientError> {
        let status = self.first_status(service, &held.unused()).await?;
        let delegation = &held.delegation;
        let claimed = delegation.delegation.signer.claimed;
        let authority = (delegation.delegate, delegation.created_slot, claimed);
        let last_signed = proven_seq(service, &status, authority, held.unit_price)?;
        Ok(held.first_books(&status, last_signed))
    }

    async fn first_status(
        &self,
        service: &Service,
        unused: &ChannelRecord,
    ) -> Result<ChannelStatus, ClientError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ASKS {
            // seq 0 authorizes nothing, and any seq with a good signature may ask
            match self.ask_status(service, unused, Seq::ZERO).await {
                Err(ClientError::Refused { body, .. })
                    if matches!(body.error, Code::NoChannel | Code::InvalidSig) =>
                {
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2);
                }
                outcome => return outcome,
            }
        }
        self.ask_status(service, unused, Seq::ZERO).await
    }
}

impl Held {
    /// The channel as a record of which nothing is stored yet.
    fn unused(&self) -> ChannelRecord {
        let account = &self.account;
        let expires_at = self.delegation.delegation.expires_at;
        ChannelRecord {
            id: 0,
            origin: self.origin.clone(),
            state: ChannelState::Open,
            network: None,
            channel: self.channel,
            vault: Address::from(account.vault),
            funder: Address::from(account.funder),
            recipient: Address::from(account.recipient),
            mint: Address::from(account.mint),
            token_program: self.token_program,
            rent_payer: Address::from(account.rent_payer),
            nonce: account.nonce,
            opened_slot: account.opened_slot,
            delegation: Some(HeldDelegation {
                delegate: Address::from(self.delegation.delegate),
                created_slot: self.delegation.created_slot,
                expires_at: (expires_at != 0).then_some(expires_at),
            }),
            refunded: Amount::ZERO,
            topping_up: Amount::ZERO,
            created_at: 0,
            ledger: Ledger::new(self.unit_price, account.books.deposited),
        }
    }
}

fn disputed(service: &Service, record: &ChannelRecord) -> ClientError {
    ClientError::Disputed { origin: service.name.clone(), channel: record.channel }
}
