use std::collections::BTreeMap;

use super::refusal::require;
use super::{Refusal, Refused, foreign};
use crate::cast::{Mint, Person, TokenProgram};
use crate::place::{ChannelId, Place};

/// Lamports an account of so many bytes must keep.
pub(super) fn rent(bytes: u64) -> u64 {
    (128 + bytes) * 6_960
}

/// Bytes of a token account.
pub(super) const TOKEN_ACCOUNT: u64 = 165;

/// Bytes of the token account at a place: Token-2022's associated ones can't change owners, and say so.
pub(super) fn token_account_bytes(place: Place) -> u64 {
    match place {
        Place::Tokens(_, Mint::Token2022) => TOKEN_ACCOUNT + 5,
        _ => TOKEN_ACCOUNT,
    }
}

/// Who may spend from a token account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A person.
    Person(Person),
    /// A channel: the account is its vault.
    Channel(ChannelId),
}

/// A token account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAccount {
    /// Whose.
    pub holder: Holder,
    /// Of what.
    pub mint: Mint,
    /// How much.
    pub amount: u64,
}

/// Lamports and tokens of everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    lamports: BTreeMap<Place, u64>,
    tokens: BTreeMap<Place, TokenAccount>,
    fees: u64,
    at_first: u128,
}

impl Bank {
    /// What everybody has at the beginning.
    pub(super) fn new() -> Self {
        let mut bank = Self { lamports: BTreeMap::new(), tokens: BTreeMap::new(), fees: 0, at_first: 0 };
        for person in Person::ALL {
            bank.lamports.insert(Place::Wallet(person), person.lamports());
        }
        for person in Person::HOLDERS {
            for mint in Mint::ACCEPTED {
                bank.add_tokens(Place::Tokens(person, mint), person, mint, person.tokens(mint));
                bank.add_tokens(Place::OtherTokens(person, mint), person, mint, 0);
            }
        }
        bank.at_first = bank.lamports.values().map(|lamports| u128::from(*lamports)).sum();
        bank
    }

    /// Lamports of everybody at the beginning.
    pub(super) fn lamports_at_first(&self) -> u128 {
        self.at_first
    }

    fn add_tokens(&mut self, place: Place, person: Person, mint: Mint, amount: u64) {
        let wrapped = if mint == Mint::WrappedSol { amount } else { 0 };
        self.lamports.insert(place, rent(token_account_bytes(place)) + wrapped);
        self.tokens.insert(place, TokenAccount { holder: Holder::Person(person), mint, amount });
    }

    /// Lamports at a place.
    pub fn lamports(&self, place: Place) -> u64 {
        self.lamports.get(&place).copied().unwrap_or_default()
    }

    /// The token account at a place.
    pub fn tokens(&self, place: Place) -> Option<&TokenAccount> {
        self.tokens.get(&place)
    }

    /// Every place that has or had lamports, and how many.
    pub fn all_lamports(&self) -> impl Iterator<Item = (Place, u64)> {
        self.lamports.iter().map(|(place, lamports)| (*place, *lamports))
    }

    /// Every token account there is.
    pub fn all_tokens(&self) -> impl Iterator<Item = (Place, &TokenAccount)> {
        self.tokens.iter().map(|(place, account)| (*place, account))
    }

    /// Lamports that fees took.
    pub fn fees(&self) -> u64 {
        self.fees
    }

    pub(super) fn charge_fee(&mut self, fee: u64) {
        self.take_lamports(Place::Wallet(Person::FeePayer), fee);
        self.fees += fee;
    }

    fn take_lamports(&mut self, from: Place, lamports: u64) {
        let left = self.lamports(from) - lamports;
        self.lamports.insert(from, left);
    }

    fn give_lamports(&mut self, to: Place, lamports: u64) {
        let more = self.lamports(to) + lamports;
        self.lamports.insert(to, more);
    }

    pub(super) fn send_lamports(&mut self, from: Person, to: Place, lamports: u64) -> Result<(), Refused> {
        require(self.lamports(Place::Wallet(from)) >= lamports, foreign::NOT_ENOUGH)?;
        self.take_lamports(Place::Wallet(from), lamports);
        self.give_lamports(to, lamports);
        Ok(())
    }

    /// Tops an account up to its rent: what was sent ahead counts. Returns what was paid.
    pub(super) fn pay_rent(&mut self, payer: Person, place: Place, bytes: u64) -> Result<u64, Refused> {
        let missing = rent(bytes).saturating_sub(self.lamports(place));
        self.send_lamports(payer, place, missing)?;
        Ok(missing)
    }

    /// All of an account's lamports go to another.
    pub(super) fn hand_over(&mut self, from: Place, to: Place) {
        let all = self.lamports(from);
        self.take_lamports(from, all);
        self.give_lamports(to, all);
    }

    /// Makes the account a vault. What it has above its rent is wrapped SOL at once, where that is the mint.
    pub(super) fn begin_vault(&mut self, channel: ChannelId, mint: Mint) -> u64 {
        let place = Place::Vault(channel);
        let ahead = self.lamports(place) - rent(TOKEN_ACCOUNT);
        let amount = if mint == Mint::WrappedSol { ahead } else { 0 };
        self.tokens.insert(place, TokenAccount { holder: Holder::Channel(channel), mint, amount });
        amount
    }

    /// Ends a vault: its lamports go to `to`.
    pub(super) fn end_vault(&mut self, channel: ChannelId, to: Place) {
        self.tokens.remove(&Place::Vault(channel));
        self.hand_over(Place::Vault(channel), to);
    }

    /// Moves tokens between two accounts of `mint` by the program given, if `holder` has them.
    pub(super) fn move_tokens(
        &mut self,
        program: Place,
        mint: Place,
        (from, to): (Place, Place),
        holder: Holder,
        amount: u64,
    ) -> Result<(), Refused> {
        let its_own = |account: &&TokenAccount| Place::TokenProgram(account.mint.program()) == program;
        let source = self.tokens(from).filter(its_own).copied();
        let target = self.tokens(to).filter(its_own).copied();
        let (Some(source), Some(target)) = (source, target) else { return Err(Refusal::Foreign.into()) };
        let mut faults = super::refusal::Faults::default();
        faults.unless(source.amount >= amount, foreign::NOT_ENOUGH);
        let one_mint = Place::Mint(source.mint) == mint && Place::Mint(target.mint) == mint;
        faults.unless(one_mint, foreign::MINT_MISMATCH);
        faults.unless(source.holder == holder, foreign::OWNER_MISMATCH);
        faults.settle()?;
        self.set_amount(from, |had| had - amount);
        self.set_amount(to, |had| had + amount);
        if source.mint == Mint::WrappedSol {
            self.take_lamports(from, amount);
            self.give_lamports(to, amount);
        }
        Ok(())
    }

    fn set_amount(&mut self, place: Place, change: impl FnOnce(u64) -> u64) {
        if let Some(account) = self.tokens.get_mut(&place) {
            account.amount = change(account.amount);
        }
    }

    /// Whether every account that has lamports has enough for the bytes it holds.
    pub(super) fn everybody_keeps_the_rent(&self, bytes: impl Fn(Place) -> u64) -> bool {
        self.lamports.iter().all(|(place, lamports)| *lamports == 0 || *lamports >= rent(bytes(*place)))
    }
}

impl TokenProgram {
    /// Its place.
    pub fn place(self) -> Place {
        Place::TokenProgram(self)
    }
}
