use amp_embedded::Executed;
use amp_protocol::account::ChannelAccount;
use amp_protocol::message::{CloseStatement, Credential};
use amp_protocol::money::{Amount, Seq};
use amp_sdk::chain::instructions::{self, ChannelKeys, CloseParties};
use amp_sdk::chain::{ChainError, ChannelAddress, PROGRAM_ID};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::world::World;

/// A channel that was opened in a [`World`], or chained below one that was.
pub struct OpenedChannel<'w> {
    pub world: &'w World,
    pub at: ChannelAddress,
    pub opened_slot: u64,
    /// Signs its credentials.
    pub signer: Keypair,
    pub recipient: Keypair,
    pub recipient_token: Address,
    pub rent_payer: Address,
}

impl<'w> OpenedChannel<'w> {
    pub(crate) fn new(world: &'w World, nonce: u64) -> Self {
        let rent_payer = world.rent_payer.pubkey();
        Self::of(world, &world.funder.pubkey(), &world.signer, &world.recipient, rent_payer, nonce)
    }

    pub(crate) fn of(
        world: &'w World,
        opener: &Address,
        signer: &Keypair,
        recipient: &Keypair,
        rent_payer: Address,
        nonce: u64,
    ) -> Self {
        let at = ChannelAddress::derive(&PROGRAM_ID, opener, &recipient.pubkey(), nonce);
        let mut channel = Self {
            world,
            at,
            opened_slot: 0,
            signer: signer.insecure_clone(),
            recipient: recipient.insecure_clone(),
            recipient_token: world.mint.account_of(&recipient.pubkey()),
            rent_payer,
        };
        channel.opened_slot = channel.account().opened_slot;
        channel
    }

    pub fn account(&self) -> ChannelAccount {
        let account = self.world.chain.snapshot(&self.at.channel).expect("the channel exists");
        assert_eq!(account.owner, PROGRAM_ID);
        ChannelAccount::decode(&account.data).expect("a channel account")
    }

    pub fn exists(&self) -> bool {
        self.world.chain.snapshot(&self.at.channel).is_some()
    }

    /// Overwrites the account's version, as only another release of the program would.
    pub fn set_version(&self, version: u8) {
        let mut account = self.world.chain.snapshot(&self.at.channel).expect("the channel exists");
        account.data[8] = version;
        self.world.chain.overwrite(&self.at.channel, account).expect("overwritten");
    }

    /// Overwrites the note of the last delegation, as no instruction can.
    pub fn forget_delegated_slot(&self) {
        let forgetful = ChannelAccount { delegated_slot: 0, ..self.account() };
        let mut account = self.world.chain.snapshot(&self.at.channel).expect("the channel exists");
        account.data = forgetful.encode().to_vec();
        self.world.chain.overwrite(&self.at.channel, account).expect("overwritten");
    }

    pub fn vault_tokens(&self) -> u64 {
        self.world.chain.tokens(&self.at.vault).get()
    }

    pub fn keys(&self) -> ChannelKeys {
        ChannelKeys {
            program_id: PROGRAM_ID,
            channel: self.at.channel,
            vault: self.at.vault,
            mint: self.world.mint.address,
            token_program: self.world.mint.token_program,
        }
    }

    // -- messages ------------------------------------------------------------------------------

    pub fn credential(&self, seq: u64) -> Credential {
        Credential { channel: self.at.channel.to_bytes(), epoch: self.opened_slot, seq: Seq::new(seq) }
    }

    /// The precompile instruction of the channel's signer over the credential with this seq.
    pub fn proof(&self, seq: u64) -> Instruction {
        signed(&self.signer, &self.credential(seq).to_bytes())
    }

    pub fn statement(&self, owed_total: u64) -> CloseStatement {
        CloseStatement {
            channel: self.at.channel.to_bytes(),
            opened_slot: self.opened_slot,
            owed_total: Amount::new(owed_total),
        }
    }

    pub fn statement_proof(&self, owed_total: u64) -> Instruction {
        signed(&self.recipient, &self.statement(owed_total).to_bytes())
    }

    // -- instructions --------------------------------------------------------------------------

    pub fn settle_instruction(&self, owed: u64) -> Instruction {
        self.settle_instruction_with(None, owed)
    }

    pub fn settle_instruction_with(&self, delegation: Option<&Address>, owed: u64) -> Instruction {
        let recipient = self.recipient.pubkey();
        instructions::settle(&self.keys(), &recipient, &self.recipient_token, delegation, Amount::new(owed))
    }

    pub fn close_instruction(&self, closer: &Address, payout_token: Option<Address>) -> Instruction {
        let parties = CloseParties {
            closer: *closer,
            refund_token: self.world.funder_token,
            rent_payer: self.rent_payer,
            payout_token,
        };
        instructions::close_channel(&self.keys(), &parties)
    }

    // -- what people do ------------------------------------------------------------------------

    /// Settles `owed` under the credential with `seq`.
    pub fn settle(&self, seq: u64, owed: u64) -> Result<Executed, ChainError> {
        self.settle_after(&[self.proof(seq)], owed)
    }

    /// Settles `owed` right after `before`.
    pub fn settle_after(&self, before: &[Instruction], owed: u64) -> Result<Executed, ChainError> {
        let mut all = before.to_vec();
        all.push(self.settle_instruction(owed));
        self.world.chain.execute(&all, &[&self.recipient])
    }

    pub fn top_up(&self, amount: u64) -> Result<Executed, ChainError> {
        let world = self.world;
        let instruction = instructions::top_up(
            &self.keys(),
            &world.funder.pubkey(),
            &world.funder_token,
            Amount::new(amount),
        );
        world.chain.execute(&[instruction], &[&world.funder])
    }

    pub fn request_close_as(&self, person: &Keypair) -> Result<Executed, ChainError> {
        let instruction = instructions::request_close(&PROGRAM_ID, &self.at.channel, &person.pubkey());
        self.world.chain.execute(&[instruction], &[person])
    }

    pub fn request_close(&self) -> Result<Executed, ChainError> {
        self.request_close_as(&self.world.funder)
    }

    /// Closes without a statement.
    pub fn close_as(&self, closer: &Keypair) -> Result<Executed, ChainError> {
        self.world.chain.execute(&[self.close_instruction(&closer.pubkey(), None)], &[closer])
    }

    /// The funder closes with the recipient's statement.
    pub fn close_by_statement(&self, owed_total: u64) -> Result<Executed, ChainError> {
        self.close_after(&[self.statement_proof(owed_total)])
    }

    /// The funder closes by a statement, right after `before`.
    pub fn close_after(&self, before: &[Instruction]) -> Result<Executed, ChainError> {
        let world = self.world;
        let mut all = before.to_vec();
        all.push(self.close_instruction(&world.funder.pubkey(), Some(self.recipient_token)));
        world.chain.execute(&all, &[&world.funder])
    }

    /// Lets the settle interval pass.
    pub fn wait_for_interval(&self) {
        self.world.chain.advance_seconds(crate::world::INTERVAL);
    }
}

/// A channel whose first settlement may happen now.
pub fn settleable(world: &World) -> OpenedChannel<'_> {
    let channel = world.open();
    channel.wait_for_interval();
    channel
}

/// The precompile instruction of `signer` over `message`.
pub fn signed(signer: &Keypair, message: &[u8; 52]) -> Instruction {
    let signature = signer.sign_message(message);
    instructions::ed25519(&signer.pubkey().to_bytes(), signature.as_array(), message)
}
