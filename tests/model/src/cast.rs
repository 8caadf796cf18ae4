//! The people of a sequence, and the tokens they trade in.

use serde::{Deserialize, Serialize};
use solana_keypair::Keypair;

/// Somebody with a key. What a person is called is what it mostly does; any of them may turn up in any role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Person {
    /// Opens channels.
    Funder(u8),
    /// Is paid, and pays its own suppliers.
    Service(u8),
    /// Signs credentials as a channel's authorized signer.
    Agent(u8),
    /// Signs credentials as a delegate.
    Delegate(u8),
    /// Pays rent.
    RentPayer(u8),
    /// Pays rent that it has not got.
    Pauper,
    /// Takes no part, but tries.
    Stranger,
    /// Pays the fees of all transactions and does nothing else, so that every other lamport is accounted for.
    FeePayer,
}

use Person::*;

impl Person {
    /// Everybody.
    pub const ALL: [Self; 16] = [
        Funder(0),
        Funder(1),
        Service(0),
        Service(1),
        Service(2),
        Service(3),
        Agent(0),
        Agent(1),
        Delegate(0),
        Delegate(1),
        Delegate(2),
        RentPayer(0),
        RentPayer(1),
        Pauper,
        Stranger,
        FeePayer,
    ];
    /// Who opens channels.
    pub const FUNDERS: [Self; 2] = [Funder(0), Funder(1)];
    /// Who is paid.
    pub const SERVICES: [Self; 4] = [Service(0), Service(1), Service(2), Service(3)];
    /// Who has token accounts.
    pub const HOLDERS: [Self; 7] =
        [Funder(0), Funder(1), Service(0), Service(1), Service(2), Service(3), Stranger];

    /// The key of this person in one of the troupes: other keys make other derived addresses and bumps.
    pub fn keypair(self, troupe: u8) -> Keypair {
        let position = Self::ALL.iter().position(|person| *person == self).unwrap_or(Self::ALL.len());
        let mut seed = *b"a person of the model's cast    ";
        seed[30] = troupe;
        seed[31] = position as u8;
        Keypair::new_from_array(seed)
    }

    /// Lamports at the start of a sequence.
    pub fn lamports(self) -> u64 {
        match self {
            Pauper => 1_000_000,
            FeePayer => 1_000_000_000_000,
            _ => 10_000_000_000,
        }
    }

    /// Base units of a mint in the associated token account at the start of a sequence.
    pub fn tokens(self, mint: Mint) -> u64 {
        match (self, mint) {
            (_, Mint::Extended) => 0,
            // amounts for which a sum of two no longer fits 64 bits
            (Funder(1), Mint::Token2022) => 1 << 63,
            (Stranger, Mint::Token2022) => (1 << 63) - 1_000_000_000_001,
            (Funder(_), Mint::WrappedSol) => 1_000_000_000,
            (Stranger, Mint::WrappedSol) => 50_000_000,
            (Funder(_), _) => 1_000_000_000_000,
            (Stranger, _) => 1_000_000,
            _ => 0,
        }
    }
}

/// A mint of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mint {
    /// Of SPL Token.
    Token,
    /// Of Token-2022, without extensions.
    Token2022,
    /// SPL Token's own: its token accounts hold lamports.
    WrappedSol,
    /// Of Token-2022, with an extension that lets somebody take the tokens: no channel is opened in it.
    Extended,
}

impl Mint {
    /// Those that channels are opened in.
    pub const ACCEPTED: [Self; 3] = [Self::Token, Self::Token2022, Self::WrappedSol];
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Token, Self::Token2022, Self::WrappedSol, Self::Extended];

    /// The program it belongs to.
    pub fn program(self) -> TokenProgram {
        match self {
            Self::Token | Self::WrappedSol => TokenProgram::Token,
            Self::Token2022 | Self::Extended => TokenProgram::Token2022,
        }
    }
}

/// A token program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TokenProgram {
    /// SPL Token.
    Token,
    /// Token-2022.
    Token2022,
}
