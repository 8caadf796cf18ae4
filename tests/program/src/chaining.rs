use amp_embedded::Executed;
use amp_protocol::instruction::ChainChannel;
use amp_protocol::money::Amount;
use amp_protocol::rules::Terms;
use amp_sdk::chain::ChainError;
use amp_sdk::chain::instructions::{self, ChainParties};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::channel::OpenedChannel;

impl<'w> OpenedChannel<'w> {
    /// `chain_channel` below this one, to `sub_service`.
    pub fn chain_instruction(
        &self,
        sub_service: &Address,
        delegation: Option<Address>,
        owed: u64,
        nonce: u64,
        terms: Terms,
    ) -> Instruction {
        let parties = ChainParties {
            recipient: self.recipient.pubkey(),
            rent_payer: self.recipient.pubkey(),
            sub_service: *sub_service,
            delegation,
        };
        let args = ChainChannel { owed: Amount::new(owed), nonce, terms };
        instructions::chain_channel(&self.keys(), &parties, &args)
    }

    /// Chains a channel to the world's supplier under this channel's credential with `seq`.
    pub fn chain(&self, seq: u64, owed: u64, terms: Terms) -> Result<Executed, ChainError> {
        self.chain_to(&self.world.supplier, seq, owed, terms)
    }

    pub fn chain_to(
        &self,
        sub_service: &Keypair,
        seq: u64,
        owed: u64,
        terms: Terms,
    ) -> Result<Executed, ChainError> {
        let chain = self.chain_instruction(&sub_service.pubkey(), None, owed, 0, terms);
        self.world.chain.execute(&[self.proof(seq), chain], &[&self.recipient])
    }

    /// The channel that [`Self::chain_to`] made, once a slot has passed.
    pub fn chained(&self, sub_service: &Keypair) -> OpenedChannel<'w> {
        self.world.chain.advance_slots(1);
        let opener = self.at.channel;
        OpenedChannel::of(self.world, &opener, &self.recipient, sub_service, self.recipient.pubkey(), 0)
    }
}
