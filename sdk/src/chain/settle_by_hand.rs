//! One settlement without a service: for a recipient whose service is gone and who kept the credentials.

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::CredentialBody;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules;
use solana_address::Address;

use super::instructions::{self, ChannelKeys};
use super::{
    Chain, ChainError, ComputeBudget, Confirmation, Plan, PriorityFee, associated_token_address,
    create_token_account, delegation_address,
};
use crate::signed::verify_credential;
use crate::signer::Signer;

/// What would be settled, checked against the chain as it is: nothing is sent yet.
#[derive(Debug)]
pub struct Settleable {
    /// Who signed the credential.
    pub signer: Address,
    /// Base units that it pays out: what is owed less what was claimed of this signer.
    pub payout: Amount,
    /// Where to: the recipient's associated token account.
    pub payout_token: Address,
    /// The channel's mint.
    pub mint: Address,
    plan: Plan,
}

/// Why a credential can't be settled. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum UnsettleableError {
    /// There is no such channel.
    #[error("there is no channel {0} (any more): what was not settled before its close can't be")]
    NoChannel(Address),
    /// The channel pays another key.
    #[error("channel {channel} pays {recipient}; only that key can settle it")]
    WrongRecipient {
        /// The channel.
        channel: Address,
        /// Whom it pays.
        recipient: Address,
    },
    /// Neither the authorized signer nor a delegate signed it, in this incarnation of the channel.
    #[error(
        "the credential is signed by none of the keys that channel {0} honours; it may be of an earlier \
         channel at this address, or of a delegation that is closed"
    )]
    NobodysSignature(Address),
    /// The program would refuse it.
    #[error("the program would refuse this settlement: {0}")]
    Refused(Rejection),
    /// Its signer's interval has not passed.
    #[error("this signer can be settled from unix time {from} on: {}", Rejection::SettleEarly)]
    TooEarly {
        /// Unix seconds.
        from: i64,
    },
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Settleable {
    /// Finds out who signed `credential`, and whether the program would pay `owed` (base units, of that signer
    /// in all) for it. The recipient pays the fee, and the rent of its token account where it has none.
    pub async fn check(
        chain: &dyn Chain,
        program_id: &Address,
        recipient: &Address,
        credential: &CredentialBody,
        owed: Amount,
        fee: PriorityFee,
    ) -> Result<Self, UnsettleableError> {
        let channel = Address::from(credential.channel.0);
        let account = super::channel(chain, program_id, &channel).await?;
        let account = account.ok_or(UnsettleableError::NoChannel(channel))?;
        if account.recipient != recipient.to_bytes() {
            let recipient = Address::from(account.recipient);
            return Err(UnsettleableError::WrongRecipient { channel, recipient });
        }
        let now = chain.clock().await?.unix_timestamp;
        let (terms, books) = (&account.terms, &account.books);
        let by = signer_of(chain, program_id, &channel, &account, credential).await?;
        let by = by.ok_or(UnsettleableError::NobodysSignature(channel))?;
        let (outcome, signer_books) = match &by.delegation {
            None => (rules::settle(terms, books, &account.signer, credential.seq, owed, now), account.signer),
            Some(delegation) => {
                (delegation.settle(terms, books, credential.seq, owed, now), delegation.signer)
            }
        };
        let settlement = outcome.map_err(|rejection| match rejection {
            Rejection::SettleEarly => UnsettleableError::TooEarly {
                from: rules::settleable_from(&signer_books, terms.settle_interval),
            },
            other => UnsettleableError::Refused(other),
        })?;
        let mint = Address::from(account.mint);
        let token_program = super::mint(chain, &mint).await?.token_program;
        let payout_token = associated_token_address(recipient, &mint, &token_program);
        let (mut all, mut budget) = match by.delegation {
            Some(_) => (Vec::new(), ComputeBudget::settle_by_delegate()),
            None => (Vec::new(), ComputeBudget::settle()),
        };
        if !super::has_token_account(chain, &payout_token).await? {
            all.push(create_token_account(recipient, recipient, &mint, &token_program));
            budget = budget.with_token_accounts(1);
        }
        let keys = ChannelKeys {
            program_id: *program_id,
            channel,
            vault: Address::from(account.vault),
            mint,
            token_program,
        };
        let delegation = by.delegation.map(|_| delegation_address(program_id, &channel, &by.key));
        // the program reads the instruction just before its own
        all.push(instructions::credential(&by.key, by.epoch, credential));
        all.push(instructions::settle(&keys, recipient, &payout_token, delegation.as_ref(), owed));
        let plan = Plan::new(*recipient, budget, fee, all);
        Ok(Self { signer: by.key, payout: settlement.payout, payout_token, mint, plan })
    }

    /// Sends it. It can't be paid twice, whatever is heard of it: what is owed is cumulative.
    pub async fn send(&self, chain: &dyn Chain, recipient: &dyn Signer) -> Result<Confirmation, ChainError> {
        self.plan.send(chain, &[recipient]).await
    }
}

/// Whose a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// Who signed it.
    pub key: Address,
    /// The slot in which the authority to sign it was created.
    pub epoch: u64,
    /// What a delegate may spend, and what was claimed of it. `None`: the authorized signer's.
    pub delegation: Option<rules::Delegation>,
}

/// Who signed a credential, which does not name its signer. `None`: none of the keys that the channel honours.
/// Where a delegate may have, it takes a node that searches.
pub async fn signer_of(
    chain: &dyn Chain,
    program_id: &Address,
    channel: &Address,
    account: &ChannelAccount,
    credential: &CredentialBody,
) -> Result<Option<SignedBy>, ChainError> {
    if verify_credential(credential, account.opened_slot, &account.authorized_signer) {
        let key = Address::from(account.authorized_signer);
        return Ok(Some(SignedBy { key, epoch: account.opened_slot, delegation: None }));
    }
    // who has no delegates needs no node that searches
    if account.delegated_slot != 0 {
        for (_, found) in super::delegations(chain, program_id, channel).await? {
            let is_live = found.channel_opened_slot == account.opened_slot;
            if is_live && verify_credential(credential, found.created_slot, &found.delegate) {
                let (key, epoch) = (Address::from(found.delegate), found.created_slot);
                return Ok(Some(SignedBy { key, epoch, delegation: Some(found.delegation) }));
            }
        }
    }
    Ok(None)
}
