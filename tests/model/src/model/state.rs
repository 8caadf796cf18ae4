use super::Clock;
use crate::cast::{Mint, Person};
use crate::place::ChannelId;
use crate::transaction::Terms;

/// What one signer has been paid out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Base units, in all.
    pub amount: u64,
    /// When last; at first, when it began.
    pub last_settled: i64,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Funder, recipient and nonce, and those of the channels above it.
    pub id: ChannelId,
    /// Whose credentials count.
    pub authorized_signer: Person,
    /// The token.
    pub mint: Mint,
    /// Who gets the lamports at the end.
    pub rent_payer: Person,
    /// What was agreed on.
    pub terms: Terms,
    /// When it was opened.
    pub opened: Clock,
    /// The last slot in which a delegation on it began.
    pub delegated_slot: u64,
    /// When the funder asked to close.
    pub closing_since: Option<i64>,
    /// Base units put in.
    pub deposited: u64,
    /// Base units settled, for all signers.
    pub claimed: u64,
    /// The authorized signer's part of that.
    pub signer: Claimed,
    /// Whole intervals between the opening and the last settlement.
    pub window: u64,
    /// Base units settled in that window.
    pub window_claimed: u64,
}

impl Channel {
    /// How many channels are above it.
    pub fn depth(&self) -> u8 {
        (self.id.levels().count() - 1) as u8
    }

    /// Base units that are not claimed.
    pub fn balance(&self) -> u64 {
        self.deposited.saturating_sub(self.claimed)
    }

    /// Which window a moment lies in, and what was claimed in it.
    pub fn window_at(&self, time: i64) -> (u64, u64) {
        let passed = i128::from(time) - i128::from(self.opened.time);
        let number = (passed / i128::from(self.terms.settle_interval)) as u64;
        (number, if number == self.window { self.window_claimed } else { 0 })
    }

    /// When the window of the last settlement began.
    pub fn window_began(&self) -> i64 {
        let passed = i128::from(self.window) * i128::from(self.terms.settle_interval);
        (i128::from(self.opened.time) + passed) as i64
    }

    /// From when on anybody may close it.
    pub fn closable_from(&self) -> Option<i128> {
        self.closing_since.map(|since| i128::from(since) + i128::from(self.terms.close_grace))
    }
}

/// What a funder lets another key spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// From which channel.
    pub channel: ChannelId,
    /// Who.
    pub delegate: Person,
    /// Who gets the lamports at the end.
    pub rent_payer: Person,
    /// Which incarnation of the channel: the slot of its opening.
    pub channel_opened_slot: u64,
    /// When it was made: what the delegate's messages name.
    pub created_slot: u64,
    /// Base units at most.
    pub limit: u64,
    /// What was settled.
    pub claimed: Claimed,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
    /// When the funder ended it.
    pub revoked_at: Option<i64>,
}

impl Delegation {
    /// From when on nothing new may be spent.
    pub fn end(&self) -> Option<i64> {
        match (self.expires_at, self.revoked_at) {
            (Some(expiry), Some(revocation)) => Some(expiry.min(revocation)),
            (expiry, revocation) => expiry.or(revocation),
        }
    }

    /// The last second in which anything of it can be settled.
    pub fn collectable_until(&self, grace: u32) -> Option<i128> {
        self.end().map(|end| i128::from(end) + i128::from(grace))
    }
}
