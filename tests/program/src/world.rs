use amp_embedded::{ClockMode, EmbeddedChain, Executed, TestMint};
use amp_protocol::instruction::OpenChannel;
use amp_protocol::money::Amount;
use amp_protocol::rules::Terms;
use amp_sdk::chain::instructions::{self, OpenParties};
use amp_sdk::chain::{ChainError, PROGRAM_ID, TOKEN_PROGRAM};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::channel::OpenedChannel;

/// Seconds between settlements in [`TERMS`].
pub const INTERVAL: u32 = 60;
/// Seconds of close grace in [`TERMS`].
pub const GRACE: u32 = 600;
/// What the funder has before it opens anything.
pub const FUNDER_TOKENS: u64 = 10_000_000;
/// What [`World::open`] deposits.
pub const DEPOSIT: u64 = 1_000_000;
/// What [`World::open`] agrees on: a unit price that is not 1, so that seq and amount differ.
pub const TERMS: Terms = Terms {
    unit_price: 100,
    rate_limit: 400_000,
    settle_interval: INTERVAL,
    close_grace: GRACE,
    max_chain_depth: 0,
};

/// A chain, a mint and the people of a channel.
pub struct World {
    pub chain: EmbeddedChain,
    pub mint: TestMint,
    pub funder: Keypair,
    pub recipient: Keypair,
    pub signer: Keypair,
    pub rent_payer: Keypair,
    pub stranger: Keypair,
    /// Supplies the recipient: the recipient of chained channels.
    pub supplier: Keypair,
    pub delegate: Keypair,
    pub funder_token: Address,
    pub recipient_token: Address,
    pub stranger_token: Address,
    pub supplier_token: Address,
}

impl Default for World {
    fn default() -> Self {
        Self::new(&TOKEN_PROGRAM)
    }
}

impl World {
    pub fn new(token_program: &Address) -> Self {
        let chain = chain();
        let mint = chain.create_mint(token_program).expect("a mint");
        Self::with_mint(chain, mint)
    }

    /// A world whose mint the test made.
    pub fn with_mint(chain: EmbeddedChain, mint: TestMint) -> Self {
        let world = Self::without_tokens(chain, mint);
        for (person, amount) in [
            (&world.funder, FUNDER_TOKENS),
            (&world.recipient, 0),
            (&world.stranger, FUNDER_TOKENS),
            (&world.supplier, 0),
        ] {
            world.chain.mint_to(&mint, &person.pubkey(), Amount::new(amount)).expect("tokens");
        }
        world
    }

    /// A world in which nobody has a token account yet.
    pub fn without_tokens(chain: EmbeddedChain, mint: TestMint) -> Self {
        // fixed keys: derived addresses, and so compute units, are the same in every run
        let [funder, recipient, signer, rent_payer, stranger, supplier, delegate] =
            [11, 12, 13, 14, 15, 16, 17].map(|seed| Keypair::new_from_array([seed; 32]));
        for person in [&funder, &recipient, &rent_payer, &stranger, &supplier] {
            chain.airdrop(&person.pubkey(), 1_000_000_000).expect("lamports");
        }
        let token_of = |person: &Keypair| mint.account_of(&person.pubkey());
        let (funder_token, recipient_token) = (token_of(&funder), token_of(&recipient));
        let (stranger_token, supplier_token) = (token_of(&stranger), token_of(&supplier));
        Self {
            chain,
            mint,
            funder,
            recipient,
            signer,
            rent_payer,
            stranger,
            supplier,
            delegate,
            funder_token,
            recipient_token,
            stranger_token,
            supplier_token,
        }
    }

    pub fn parties(&self) -> OpenParties {
        OpenParties {
            funder: self.funder.pubkey(),
            rent_payer: self.rent_payer.pubkey(),
            recipient: self.recipient.pubkey(),
            authorized_signer: self.signer.pubkey(),
            funder_token: self.funder_token,
        }
    }

    pub fn open_instruction(&self, nonce: u64, deposit: u64, terms: Terms) -> Instruction {
        let args = OpenChannel { nonce, deposit: Amount::new(deposit), terms };
        instructions::open_channel(
            &PROGRAM_ID,
            &self.parties(),
            &self.mint.address,
            &self.mint.token_program,
            &args,
        )
    }

    pub fn try_open(&self, nonce: u64, deposit: u64, terms: Terms) -> Result<Executed, ChainError> {
        let instruction = self.open_instruction(nonce, deposit, terms);
        let one = self.rent_payer.pubkey() == self.funder.pubkey();
        let signers = [&self.rent_payer, &self.funder];
        self.chain.execute(&[instruction], if one { &signers[..1] } else { &signers })
    }

    /// Opens a channel and lets one slot pass, so that it may be closed.
    pub fn open_with(&self, nonce: u64, deposit: u64, terms: Terms) -> OpenedChannel<'_> {
        self.try_open(nonce, deposit, terms).expect("the channel opens");
        let channel = self.opened(nonce);
        self.chain.advance_slots(1);
        channel
    }

    /// The channel with this nonce, which is open.
    pub fn opened(&self, nonce: u64) -> OpenedChannel<'_> {
        OpenedChannel::new(self, nonce)
    }

    pub fn open(&self) -> OpenedChannel<'_> {
        self.open_with(0, DEPOSIT, TERMS)
    }
}

/// A chain whose time stands still until the test moves it.
pub fn chain() -> EmbeddedChain {
    EmbeddedChain::new(ClockMode::Manual).unwrap_or_else(|missing| panic!("{missing}"))
}
