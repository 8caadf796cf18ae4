//! Who has how much, and that nothing appeared or disappeared.

use std::collections::HashMap;

use amp_protocol::money::Amount;
use amp_sdk::chain::{ChannelAddress, PROGRAM_ID};
use amp_sdk::signer::Signer;
use solana_address::Address;

use crate::market::Market;

/// Whose lamports and tokens are counted.
#[derive(Default)]
pub(crate) struct Wallets {
    people: Vec<Address>,
    minted: u64,
    /// Paid for what a test did by hand and the program refused.
    pub(crate) fees_of_failures: u64,
    /// Most that client and service may lose to refused transactions: nothing, as a rule.
    tolerated: u64,
    /// All addresses that a funder's channels to the service may have.
    addresses: HashMap<Address, Vec<ChannelAddress>>,
}

impl Wallets {
    pub(crate) const TOKENS: u64 = 1_000_000_000;
    const LAMPORTS: u64 = 1_000_000_000;
    /// Of a transaction with one signature.
    pub(crate) const FEE: u64 = 5_000;
    /// Nonces that are looked at: openings take the lowest that are cheap.
    const NONCES: u64 = 64;
}

/// Base units, by holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// All but the service.
    pub agents: u64,
    pub service: u64,
    pub vaults: u64,
}

impl Market {
    /// Gives lamports and tokens, and a token account: so that nobody pays rent for one later.
    pub(crate) fn equip(&self, person: &Address, tokens: u64) {
        self.chain.airdrop(person, Wallets::LAMPORTS).expect("lamports");
        self.chain.mint_to(&self.mint, person, Amount::new(tokens)).expect("tokens");
        let mut wallets = self.wallets.lock().expect("wallets");
        wallets.people.push(*person);
        wallets.minted += tokens;
    }

    /// Base units of somebody's.
    pub fn tokens(&self, person: &impl Signer) -> u64 {
        self.chain.tokens(&self.mint.account_of(&person.public_key())).get()
    }

    /// What the service has earned.
    pub fn earned(&self) -> u64 {
        self.tokens(&self.recipient)
    }

    /// Reads all holdings, and holds them against what there ever was: tokens are where somebody put
    /// them, lamports went to fees and nowhere else.
    pub fn money(&self) -> Money {
        let wallets = &mut *self.wallets.lock().expect("wallets");
        let service = self.recipient.public_key();
        let (mut tokens, mut lamports) = (0, 0);
        let mut vaults = 0;
        for person in &wallets.people {
            tokens += self.chain.tokens(&self.mint.account_of(person)).get();
            lamports += self.chain.lamports(person);
            let derive = |nonce| ChannelAddress::derive(&PROGRAM_ID, person, &service, nonce);
            let at = wallets.addresses.entry(*person);
            for at in at.or_insert_with(|| (0..Wallets::NONCES).map(derive).collect()) {
                vaults += self.chain.tokens(&at.vault).get();
                lamports += self.chain.lamports(&at.channel) + self.chain.lamports(&at.vault);
            }
        }
        assert_eq!(tokens + vaults, wallets.minted, "tokens are conserved");
        let executed = self.chain.executed();
        let fees = executed.iter().filter_map(|done| done.confirmation.fee).sum::<u64>();
        let fees = fees + wallets.fees_of_failures;
        let given = Wallets::LAMPORTS * wallets.people.len() as u64;
        let lost = given.checked_sub(lamports + fees).expect("no lamport appeared");
        assert!(lost <= wallets.tolerated, "{lost} lamports are missing, beside {fees} of fees");
        let service = self.earned();
        Money { agents: tokens - service, service, vaults }
    }

    /// Where two processes race, the second's transaction is refused, and costs its fee.
    pub fn tolerate_a_refused_transaction(&self) {
        self.wallets.lock().expect("wallets").tolerated += Wallets::FEE;
    }

    /// Names of the program's instructions that were executed, in order, by transaction.
    pub fn transactions(&self) -> Vec<String> {
        let executed = self.chain.executed();
        let names = executed.iter().map(|done| done.instruction_names().join(" + "));
        names.collect()
    }

    /// How often this instruction was executed, however many shared a transaction.
    pub fn count_of(&self, instruction: &str) -> usize {
        self.transactions()
            .iter()
            .flat_map(|names| names.split(" + "))
            .filter(|name| *name == instruction)
            .count()
    }
}
