use std::cell::RefCell;
use std::collections::HashMap;

use amp_embedded::TestMint;
use amp_protocol::seeds;
use amp_sdk::chain::{
    ChannelAddress, PROGRAM_ID, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, associated_token_address,
};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::cast::{Mint, Person, TokenProgram};
use crate::place::{ChannelId, Place};

/// The addresses and keys of one troupe.
pub struct AddressBook {
    people: Vec<(Keypair, Address)>,
    mints: Vec<TestMint>,
    channels: RefCell<HashMap<ChannelId, ChannelAddress>>,
    delegations: RefCell<HashMap<(ChannelId, Person), (Address, u8)>>,
    places: RefCell<HashMap<Place, Address>>,
}

impl AddressBook {
    /// The book of a troupe; `mints` are those of [`Mint::ALL`].
    pub fn new(troupe: u8, mints: Vec<TestMint>) -> Self {
        let people = Person::ALL.iter().map(|person| {
            let key = person.keypair(troupe);
            let address = key.pubkey();
            (key, address)
        });
        Self {
            people: people.collect(),
            mints,
            channels: RefCell::default(),
            delegations: RefCell::default(),
            places: RefCell::default(),
        }
    }

    fn entry(&self, person: Person) -> &(Keypair, Address) {
        let position = Person::ALL.iter().position(|one| *one == person).expect("everybody is in the cast");
        &self.people[position]
    }

    /// A person's key.
    pub fn key(&self, person: Person) -> &Keypair {
        &self.entry(person).0
    }

    /// A person's address.
    pub fn person(&self, person: Person) -> Address {
        self.entry(person).1
    }

    /// A mint.
    pub fn mint(&self, mint: Mint) -> &TestMint {
        let position = Mint::ALL.iter().position(|one| *one == mint).expect("there are no other mints");
        &self.mints[position]
    }

    /// A channel's addresses and bumps.
    pub fn channel(&self, id: ChannelId) -> ChannelAddress {
        if let Some(known) = self.channels.borrow().get(&id) {
            return *known;
        }
        let opener = id.parent().map_or(self.person(id.funder), |parent| self.channel(parent).channel);
        let at =
            ChannelAddress::derive(&PROGRAM_ID, &opener, &self.person(id.recipient()), id.nonce().into());
        self.channels.borrow_mut().insert(id, at);
        at
    }

    /// A delegation's address and bump.
    pub fn delegation(&self, channel: ChannelId, delegate: Person) -> (Address, u8) {
        let derive = || {
            let (channel, delegate) = (self.channel(channel).channel, self.person(delegate));
            let seeds = [seeds::DELEGATION, channel.as_ref(), delegate.as_ref()];
            Address::find_program_address(&seeds, &PROGRAM_ID)
        };
        *self.delegations.borrow_mut().entry((channel, delegate)).or_insert_with(derive)
    }

    /// Where a place is.
    pub fn address(&self, place: Place) -> Address {
        if let Some(known) = self.places.borrow().get(&place) {
            return *known;
        }
        let address = self.find(place);
        self.places.borrow_mut().insert(place, address);
        address
    }

    fn find(&self, place: Place) -> Address {
        match place {
            Place::Wallet(person) => self.person(person),
            Place::Channel(id) => self.channel(id).channel,
            Place::Vault(id) => self.channel(id).vault,
            Place::Delegation(id, delegate) => self.delegation(id, delegate).0,
            Place::Tokens(person, mint) => {
                let mint = self.mint(mint);
                associated_token_address(&self.person(person), &mint.address, &mint.token_program)
            }
            Place::OtherTokens(person, mint) => self.other_tokens(person, mint).pubkey(),
            Place::Mint(mint) => self.mint(mint).address,
            Place::TokenProgram(TokenProgram::Token) => TOKEN_PROGRAM,
            Place::TokenProgram(TokenProgram::Token2022) => TOKEN_2022_PROGRAM,
            Place::SystemProgram => solana_system_interface::program::ID,
            Place::InstructionsSysvar => amp_sdk::chain::instructions::INSTRUCTIONS_SYSVAR,
        }
    }

    /// The key of a token account that is not the associated one.
    pub fn other_tokens(&self, person: Person, mint: Mint) -> Keypair {
        let mut seed = self.person(person).to_bytes();
        seed[0] ^= 1 + mint as u8;
        Keypair::new_from_array(seed)
    }
}
