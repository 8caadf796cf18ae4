//! Where things are on chain, by what they are for: the harness alone knows addresses.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cast::{Mint, Person, TokenProgram};

/// What a channel's address is derived from: the root's funder, and from there on down, at each level the
/// recipient and the nonce.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelId {
    /// The root's funder: the funder of all that is chained below it, too.
    pub funder: Person,
    levels: [Option<Level>; Self::DEEPEST],
}

/// One level of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Level {
    /// Who is paid.
    pub recipient: Person,
    /// Tells channels of the same two parties apart.
    pub nonce: u8,
}

impl ChannelId {
    /// A root, three levels, and one that is never allowed.
    const DEEPEST: usize = 5;

    /// A channel that its funder opens.
    pub fn root(funder: Person, recipient: Person, nonce: u8) -> Self {
        let mut levels = [None; Self::DEEPEST];
        levels[0] = Some(Level { recipient, nonce });
        Self { funder, levels }
    }

    /// A channel chained below this one.
    pub fn below(mut self, recipient: Person, nonce: u8) -> Self {
        let depth = self.levels().count();
        self.levels[depth.min(Self::DEEPEST - 1)] = Some(Level { recipient, nonce });
        self
    }

    /// The channel above.
    pub fn parent(mut self) -> Option<Self> {
        let depth = self.levels().count();
        self.levels[depth - 1] = None;
        (depth > 1).then_some(self)
    }

    /// From the root down.
    pub fn levels(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().flatten()
    }

    fn last(&self) -> Level {
        *self.levels().last().expect("there is a root")
    }

    /// Who is paid.
    pub fn recipient(&self) -> Person {
        self.last().recipient
    }

    /// The nonce.
    pub fn nonce(&self) -> u8 {
        self.last().nonce
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.funder)?;
        self.levels().try_for_each(|level| write!(f, "->{:?}#{}", level.recipient, level.nonce))
    }
}

/// An account's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A person's own.
    Wallet(Person),
    /// A channel, or where one would be.
    Channel(ChannelId),
    /// A channel's vault.
    Vault(ChannelId),
    /// What a channel's funder lets another key spend.
    Delegation(ChannelId, Person),
    /// A person's associated token account.
    Tokens(Person, Mint),
    /// Another token account of the same person.
    OtherTokens(Person, Mint),
    /// A mint.
    Mint(Mint),
    /// A token program.
    TokenProgram(TokenProgram),
    /// The system program.
    SystemProgram,
    /// Where a program sees the other instructions of its transaction.
    InstructionsSysvar,
}

impl Place {
    /// The channel that is, or would be, here.
    pub fn channel(self) -> Option<ChannelId> {
        match self {
            Self::Channel(id) => Some(id),
            _ => None,
        }
    }
}
