//! What people do on chain without the client.

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::instruction::OpenChannel;
use amp_protocol::money::Amount;
use amp_protocol::rules::Terms;
use amp_sdk::chain::instructions::{self, ChannelKeys, CloseParties, DelegationParties, OpenParties};
use amp_sdk::chain::{
    self, ChainError, ChannelAddress, ComputeBudget, Confirmation, PROGRAM_ID, Plan, PriorityFee,
};
use amp_sdk::signer::{KeypairSigner, Signer};
use solana_address::Address;
use solana_instruction::Instruction;

use crate::market::Market;
use crate::money::Wallets;
use crate::{DEPOSIT, GRACE, INTERVAL};

/// How a channel is opened by hand; the default is one that the market's service serves.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// `None`: the service.
    pub recipient: Option<Address>,
    pub nonce: u64,
    pub deposit: u64,
    pub terms: Terms,
}

impl Default for Opening {
    fn default() -> Self {
        let terms = Terms {
            unit_price: 1,
            rate_limit: DEPOSIT,
            settle_interval: INTERVAL,
            close_grace: GRACE,
            max_chain_depth: 0,
        };
        Self { recipient: None, nonce: 0, deposit: DEPOSIT, terms }
    }
}

impl Market {
    /// Opens a channel whose credentials the funder signs itself, and lets a slot pass.
    pub async fn open_channel(&self, funder: &KeypairSigner, opening: Opening) -> Address {
        let key = funder.public_key();
        let recipient = opening.recipient.unwrap_or(self.recipient.public_key());
        let parties = OpenParties {
            funder: key,
            rent_payer: key,
            recipient,
            authorized_signer: key,
            funder_token: self.mint.account_of(&key),
        };
        let Opening { nonce, terms, .. } = opening;
        let args = OpenChannel { nonce, deposit: Amount::new(opening.deposit), terms };
        let (mint, token_program) = (&self.mint.address, &self.mint.token_program);
        let open = instructions::open_channel(&PROGRAM_ID, &parties, mint, token_program, &args);
        let at = ChannelAddress::derive(&PROGRAM_ID, &key, &recipient, nonce);
        self.transact(funder, ComputeBudget::open(&at), open).await.expect("the channel opens");
        self.next_slot();
        at.channel
    }

    /// The funder asks for a close on chain; the service is not told.
    pub async fn request_close(&self, funder: &KeypairSigner, channel: &Address) {
        let request = instructions::request_close(&PROGRAM_ID, channel, &funder.public_key());
        self.transact(funder, ComputeBudget::request_close(), request).await.expect("the request");
    }

    /// Anybody closes a channel, without a statement.
    pub async fn close_as(
        &self,
        closer: &KeypairSigner,
        channel: &Address,
    ) -> Result<Confirmation, ChainError> {
        let account = self.account(channel).await.expect("the channel exists");
        let funder = Address::from(account.funder);
        let parties = CloseParties {
            closer: closer.public_key(),
            refund_token: self.mint.account_of(&funder),
            rent_payer: Address::from(account.rent_payer),
            payout_token: None,
        };
        let close = instructions::close_channel(&self.keys(channel, &account), &parties);
        let budget = ComputeBudget::close_by_other(&funder, &self.mint.address, &self.mint.token_program);
        self.transact(closer, budget, close).await
    }

    /// Lets a key spend from a channel, or changes what it may; 0: it never expires.
    pub async fn delegate(
        &self,
        funder: &KeypairSigner,
        channel: &Address,
        delegate: &KeypairSigner,
        limit: u64,
        expires_at: i64,
    ) -> DelegationAccount {
        let (key, delegate) = (funder.public_key(), delegate.public_key());
        let parties = DelegationParties { funder: key, rent_payer: key, channel: *channel, delegate };
        let set = instructions::set_delegate(&PROGRAM_ID, &parties, Amount::new(limit), expires_at);
        let budget = ComputeBudget::set_delegate(&PROGRAM_ID, channel, &delegate);
        self.transact(funder, budget, set).await.expect("the delegation");
        self.delegation(channel, &delegate).await.expect("a delegation")
    }

    /// The funder ends a delegation.
    pub async fn revoke(&self, funder: &KeypairSigner, channel: &Address, delegate: &KeypairSigner) {
        let (key, delegate) = (funder.public_key(), delegate.public_key());
        let revoke = instructions::revoke_delegate(&PROGRAM_ID, &key, channel, &delegate);
        self.transact(funder, ComputeBudget::revoke_delegate(), revoke).await.expect("the revocation");
    }

    /// Anybody closes a delegation that is over.
    pub async fn close_delegation(
        &self,
        closer: &KeypairSigner,
        channel: &Address,
        delegate: &KeypairSigner,
    ) -> Result<Confirmation, ChainError> {
        let delegate = delegate.public_key();
        let account = self.delegation(channel, &delegate).await.expect("a delegation");
        let rent_payer = Address::from(account.rent_payer);
        let close = instructions::close_delegation(&PROGRAM_ID, channel, &delegate, &rent_payer);
        self.transact(closer, ComputeBudget::close_delegation(), close).await
    }

    /// A delegation as it is on chain.
    pub async fn delegation(&self, channel: &Address, delegate: &Address) -> Option<DelegationAccount> {
        let address = chain::delegation_address(&PROGRAM_ID, channel, delegate);
        chain::delegation(&self.chain, &PROGRAM_ID, &address).await.expect("a delegation or nothing")
    }

    /// Adds to a channel's deposit, as any holder of tokens may.
    pub async fn top_up_as(&self, owner: &KeypairSigner, channel: &Address, amount: u64) {
        let account = self.account(channel).await.expect("the channel exists");
        let source = self.mint.account_of(&owner.public_key());
        let keys = self.keys(channel, &account);
        let top_up = instructions::top_up(&keys, &owner.public_key(), &source, Amount::new(amount));
        self.transact(owner, ComputeBudget::top_up(), top_up).await.expect("the top-up");
    }

    /// A channel as it is on chain.
    pub async fn account(&self, channel: &Address) -> Option<ChannelAccount> {
        chain::channel(&self.chain, &PROGRAM_ID, channel).await.expect("a channel or nothing")
    }

    /// A channel can't be closed in the slot of its opening.
    pub fn next_slot(&self) {
        self.chain.advance_slots(1);
    }

    fn keys(&self, channel: &Address, account: &ChannelAccount) -> ChannelKeys {
        ChannelKeys {
            program_id: PROGRAM_ID,
            channel: *channel,
            vault: Address::from(account.vault),
            mint: self.mint.address,
            token_program: self.mint.token_program,
        }
    }

    async fn transact(
        &self,
        signer: &KeypairSigner,
        budget: ComputeBudget,
        instruction: Instruction,
    ) -> Result<Confirmation, ChainError> {
        let plan = Plan::new(signer.public_key(), budget, PriorityFee::default(), vec![instruction]);
        let outcome = plan.send(&self.chain, &[signer]).await;
        if matches!(outcome, Err(ChainError::Rejected(_) | ChainError::Failed { .. })) {
            self.wallets.lock().expect("wallets").fees_of_failures += Wallets::FEE;
        }
        outcome
    }
}
