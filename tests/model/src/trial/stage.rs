use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_protocol::money::Amount;
use amp_sdk::chain::{AccountSnapshot, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, create_token_account};
use serde::{Deserialize, Serialize};
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};
use spl_token_2022_interface::extension::ExtensionType;
use spl_token_2022_interface::instruction as token;

use crate::cast::{Mint, Person};
use crate::model::Clock;
use crate::place::Place;
use crate::transaction::AddressBook;

/// How many sets of keys there are.
pub const TROUPES: u8 = 6;

/// What a sequence begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Which set of keys: derived addresses and bumps depend on it.
    pub troupe: u8,
    /// What the clock shows.
    pub time: Time,
}

/// What the clock shows at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Time {
    /// A day in 2025.
    Ordinary,
    /// The first second of 1970, which "no time" is written as.
    Zero,
    /// An hour before time no longer fits.
    Last,
}

impl Setting {
    /// The clock at first.
    pub fn clock(self) -> Clock {
        let time = match self.time {
            Time::Ordinary => 1_760_000_000,
            Time::Zero => 0,
            Time::Last => i64::MAX - 3_600,
        };
        Clock { slot: 1_000, time }
    }
}

/// A chain on which everybody has what they begin with. Sequences fork it.
pub struct Stage {
    chain: EmbeddedChain,
    /// Addresses and keys.
    pub book: AddressBook,
}

impl Stage {
    /// Sets the stage for one troupe.
    ///
    /// # Panics
    /// Where there is no bytecode: `make program` makes it.
    pub fn set(troupe: u8) -> Self {
        let chain = EmbeddedChain::new(ClockMode::Manual).unwrap_or_else(|missing| panic!("{missing}"));
        let mints = Mint::ALL.map(|mint| create(&chain, mint)).to_vec();
        let book = AddressBook::new(troupe, mints);
        let stage = Self { chain, book };
        Person::ALL.into_iter().for_each(|person| stage.equip(person));
        stage
    }

    /// A chain of one's own to run a sequence on.
    pub fn fork(&self, setting: Setting) -> EmbeddedChain {
        let chain = self.chain.fork();
        let clock = setting.clock();
        chain.advance_slots(clock.slot - chain.clock_now().slot);
        chain.set_unix_timestamp(clock.time);
        chain
    }

    fn equip(&self, person: Person) {
        let address = self.book.person(person);
        let spare = 1_000_000_000_000;
        self.chain.airdrop(&address, spare).expect("lamports");
        if Person::HOLDERS.contains(&person) {
            Mint::ACCEPTED.into_iter().for_each(|mint| self.equip_with(person, mint));
        }
        // exactly what the model says, whatever setting up took
        let account = AccountSnapshot {
            owner: solana_system_interface::program::ID,
            lamports: person.lamports(),
            data: Vec::new(),
        };
        self.chain.overwrite(&address, account).expect("a wallet");
    }

    fn equip_with(&self, person: Person, mint: Mint) {
        let (owner, it) = (self.book.person(person), self.book.mint(mint));
        let amount = person.tokens(mint);
        let other = self.book.other_tokens(person, mint);
        self.chain.create_token_account_at(it, &owner, &other).expect("a second token account");
        if mint != Mint::WrappedSol {
            self.chain.mint_to(it, &owner, Amount::new(amount)).expect("tokens");
            return;
        }
        let place = self.book.address(Place::Tokens(person, mint));
        let instructions = [
            create_token_account(&owner, &owner, &it.address, &it.token_program),
            solana_system_interface::instruction::transfer(&owner, &place, amount),
            token::sync_native(&it.token_program, &place).expect("an instruction"),
        ];
        self.chain.execute(&instructions, &[self.book.key(person)]).expect("wrapped SOL");
    }
}

fn create(chain: &EmbeddedChain, mint: Mint) -> TestMint {
    match mint {
        Mint::Token => chain.create_mint(&TOKEN_PROGRAM).expect("a mint"),
        Mint::Token2022 => chain.create_mint(&TOKEN_2022_PROGRAM).expect("a mint"),
        Mint::WrappedSol => wrapped_sol(chain),
        Mint::Extended => chain
            .create_mint_with(&TOKEN_2022_PROGRAM, &[ExtensionType::PermanentDelegate], |mint, authority| {
                vec![initialize_permanent_delegate(mint, authority)]
            })
            .expect("a mint"),
    }
}

fn initialize_permanent_delegate(mint: &Address, delegate: &Address) -> Instruction {
    const INITIALIZE_PERMANENT_DELEGATE: u8 = 35;
    let data = [&[INITIALIZE_PERMANENT_DELEGATE], delegate.as_ref()].concat();
    Instruction { program_id: TOKEN_2022_PROGRAM, accounts: vec![AccountMeta::new(*mint, false)], data }
}

/// The mint that every cluster begins with: no authorities, 9 decimals.
fn wrapped_sol(chain: &EmbeddedChain) -> TestMint {
    let address = Address::from_str_const("So11111111111111111111111111111111111111112");
    let mut data = vec![0; 82];
    (data[44], data[45]) = (9, 1);
    let account = AccountSnapshot { owner: TOKEN_PROGRAM, lamports: 1_000_000_000, data };
    chain.overwrite(&address, account).expect("the native mint");
    TestMint { address, token_program: TOKEN_PROGRAM }
}
