use amp_embedded::Executed;
use amp_protocol::account::DelegationAccount;
use amp_protocol::message::Credential;
use amp_protocol::money::{Amount, Seq};
use amp_sdk::chain::instructions::{self, DelegationParties};
use amp_sdk::chain::{ChainError, PROGRAM_ID, delegation_address};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::channel::{OpenedChannel, signed};

/// A key and its delegation on a channel, made or not.
pub struct Delegated<'c, 'w> {
    pub channel: &'c OpenedChannel<'w>,
    pub key: Keypair,
    pub address: Address,
}

impl<'w> OpenedChannel<'w> {
    /// The world's delegate on this channel; nothing is made yet.
    pub fn delegate(&self) -> Delegated<'_, 'w> {
        self.delegate_of(&self.world.delegate)
    }

    pub fn delegate_of(&self, key: &Keypair) -> Delegated<'_, 'w> {
        let address = delegation_address(&PROGRAM_ID, &self.at.channel, &key.pubkey());
        Delegated { channel: self, key: key.insecure_clone(), address }
    }

    /// Delegates to the world's delegate, without an expiry, and lets one slot pass.
    pub fn delegated(&self, limit: u64) -> Delegated<'_, 'w> {
        let delegated = self.delegate();
        delegated.set(limit, 0).expect("delegated");
        self.world.chain.advance_slots(1);
        delegated
    }
}

impl Delegated<'_, '_> {
    pub fn account(&self) -> DelegationAccount {
        let account = self.channel.world.chain.snapshot(&self.address).expect("the delegation exists");
        assert_eq!(account.owner, PROGRAM_ID);
        DelegationAccount::decode(&account.data).expect("a delegation account")
    }

    pub fn exists(&self) -> bool {
        self.channel.world.chain.snapshot(&self.address).is_some()
    }

    /// Overwrites the account's version, as only another release of the program would.
    pub fn set_version(&self, version: u8) {
        let mut account = self.channel.world.chain.snapshot(&self.address).expect("the delegation exists");
        account.data[8] = version;
        self.channel.world.chain.overwrite(&self.address, account).expect("overwritten");
    }

    // -- messages and instructions -------------------------------------------------------------

    pub fn credential(&self, seq: u64) -> Credential {
        let channel = self.channel.at.channel.to_bytes();
        Credential { channel, epoch: self.account().created_slot, seq: Seq::new(seq) }
    }

    pub fn proof(&self, seq: u64) -> Instruction {
        signed(&self.key, &self.credential(seq).to_bytes())
    }

    pub fn set_instruction(&self, limit: u64, expires_at: i64) -> Instruction {
        let world = self.channel.world;
        let parties = DelegationParties {
            funder: world.funder.pubkey(),
            rent_payer: world.rent_payer.pubkey(),
            channel: self.channel.at.channel,
            delegate: self.key.pubkey(),
        };
        instructions::set_delegate(&PROGRAM_ID, &parties, Amount::new(limit), expires_at)
    }

    pub fn revoke_instruction(&self, funder: &Address) -> Instruction {
        instructions::revoke_delegate(&PROGRAM_ID, funder, &self.channel.at.channel, &self.key.pubkey())
    }

    pub fn close_instruction(&self) -> Instruction {
        let rent_payer = self.channel.world.rent_payer.pubkey();
        let channel = &self.channel.at.channel;
        instructions::close_delegation(&PROGRAM_ID, channel, &self.key.pubkey(), &rent_payer)
    }

    // -- what people do ------------------------------------------------------------------------

    pub fn set(&self, limit: u64, expires_at: i64) -> Result<Executed, ChainError> {
        let world = self.channel.world;
        let instruction = self.set_instruction(limit, expires_at);
        world.chain.execute(&[instruction], &[&world.rent_payer, &world.funder])
    }

    pub fn revoke(&self) -> Result<Executed, ChainError> {
        let world = self.channel.world;
        let instruction = self.revoke_instruction(&world.funder.pubkey());
        world.chain.execute(&[instruction], &[&world.funder])
    }

    /// Settles `owed` under this delegate's credential with `seq`.
    pub fn settle(&self, seq: u64, owed: u64) -> Result<Executed, ChainError> {
        self.settle_after(&[self.proof(seq)], owed)
    }

    pub fn settle_after(&self, before: &[Instruction], owed: u64) -> Result<Executed, ChainError> {
        let mut all = before.to_vec();
        all.push(self.channel.settle_instruction_with(Some(&self.address), owed));
        self.channel.world.chain.execute(&all, &[&self.channel.recipient])
    }

    /// A stranger pays the fee.
    pub fn close(&self) -> Result<Executed, ChainError> {
        self.channel.world.chain.execute(&[self.close_instruction()], &[&self.channel.world.stranger])
    }
}
