use core::mem::{offset_of, size_of};

use amp_protocol::account::{ChannelAccount, offset};
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Books, RateWindow, Settlement, SignerBooks, Terms};
use anchor_lang::prelude::*;

use crate::constants::CHANNEL_SEED;

/// A channel: 408 bytes with the discriminator, read in place. Fields keep their offsets for ever;
/// new ones are taken from `reserved`.
#[account(zero_copy)]
#[derive(Debug)]
#[repr(C)]
pub struct Channel {
    pub version: u8,
    pub bump: u8,
    pub vault_bump: u8,
    pub chain_depth: u8,
    pub max_chain_depth: u8,
    pub padding: [u8; 3],
    pub funder: Pubkey,
    pub recipient: Pubkey,
    pub authorized_signer: Pubkey,
    pub mint: Pubkey,
    /// Stored, not derived at every settlement: a comparison costs less than a hash.
    pub vault: Pubkey,
    pub rent_payer: Pubkey,
    /// The upstream channel, or all zero.
    pub parent: Pubkey,
    pub nonce: u64,
    pub opened_slot: u64,
    pub deposited: u64,
    pub claimed: u64,
    pub signer_claimed: u64,
    pub unit_price: u64,
    pub rate_limit: u64,
    pub window_started_at: i64,
    pub window_claimed: u64,
    pub last_settled_at: i64,
    /// Zero: not closing.
    pub closing_at: i64,
    pub opened_at: i64,
    pub settle_interval: u32,
    pub close_grace: u32,
    /// The last slot in which a delegation was created.
    pub delegated_slot: u64,
    pub reserved: [u8; 56],
}

macro_rules! pinned {
    ($($field:ident at $offset:ident;)*) => {
        $(const _: () = assert!(offset_of!(Channel, $field) == offset::$offset);)*
    };
}

pinned! {
    version at VERSION;
    bump at BUMP;
    vault_bump at VAULT_BUMP;
    chain_depth at CHAIN_DEPTH;
    max_chain_depth at MAX_CHAIN_DEPTH;
    funder at FUNDER;
    recipient at RECIPIENT;
    authorized_signer at AUTHORIZED_SIGNER;
    mint at MINT;
    vault at VAULT;
    rent_payer at RENT_PAYER;
    parent at PARENT;
    nonce at NONCE;
    opened_slot at OPENED_SLOT;
    deposited at DEPOSITED;
    claimed at CLAIMED;
    signer_claimed at SIGNER_CLAIMED;
    unit_price at UNIT_PRICE;
    rate_limit at RATE_LIMIT;
    window_started_at at WINDOW_STARTED_AT;
    window_claimed at WINDOW_CLAIMED;
    last_settled_at at LAST_SETTLED_AT;
    closing_at at CLOSING_AT;
    opened_at at OPENED_AT;
    settle_interval at SETTLE_INTERVAL;
    close_grace at CLOSE_GRACE;
    delegated_slot at DELEGATED_SLOT;
    reserved at RESERVED;
}

impl Channel {
    /// Length of the account data.
    pub const SPACE: usize = ChannelAccount::LEN;

    /// The terms, as the rules read them.
    pub fn terms(&self) -> Terms {
        Terms {
            unit_price: self.unit_price,
            rate_limit: self.rate_limit,
            settle_interval: self.settle_interval,
            close_grace: self.close_grace,
            max_chain_depth: self.max_chain_depth,
        }
    }

    /// The books, as the rules read them.
    pub fn books(&self) -> Books {
        Books {
            deposited: Amount::new(self.deposited),
            claimed: Amount::new(self.claimed),
            window: RateWindow {
                started_at: self.window_started_at,
                claimed: Amount::new(self.window_claimed),
            },
            closing: self.is_closing(),
        }
    }

    /// The authorized signer's part of the books.
    pub fn signer_books(&self) -> SignerBooks {
        SignerBooks { claimed: Amount::new(self.signer_claimed), last_settled_at: self.last_settled_at }
    }

    /// Writes a settlement of any signer.
    pub fn record(&mut self, settlement: &Settlement) {
        self.claimed = settlement.claimed.get();
        self.window_started_at = settlement.window.started_at;
        self.window_claimed = settlement.window.claimed.get();
    }

    /// Writes the authorized signer's part of its settlement.
    pub fn record_signer(&mut self, settlement: &Settlement, now: i64) {
        self.signer_claimed = settlement.signer_claimed.get();
        self.last_settled_at = now;
    }

    /// Whose address this one is derived from: the funder's, or the parent's of a chained channel. A
    /// recipient that chains could else open where only the funder's signature could, between a
    /// close and a top-up that is under way.
    pub fn opener(&self) -> &Pubkey {
        if self.chain_depth == 0 { &self.funder } else { &self.parent }
    }

    /// Runs something with the seeds of the channel's address, bump included.
    pub fn with_seeds<T>(&self, run: impl FnOnce(&[&[u8]]) -> T) -> T {
        let nonce = self.nonce.to_le_bytes();
        run(&[CHANNEL_SEED, self.opener().as_ref(), self.recipient.as_ref(), &nonce, &[self.bump]])
    }

    /// Whether the funder has asked to close.
    pub fn is_closing(&self) -> bool {
        self.closing_at != 0
    }

    /// Refuses accounts of a version this program can't read.
    pub fn check_version(&self) -> core::result::Result<(), Rejection> {
        if self.version == ChannelAccount::VERSION { Ok(()) } else { Err(Rejection::UnknownVersion) }
    }

    /// What holds of every channel, always: `signer_claimed <= claimed <= deposited` and
    /// `window_claimed <= rate_limit`. Every instruction that books something in a channel ends with it.
    pub fn invariant(&self) -> core::result::Result<(), Rejection> {
        let holds = self.signer_claimed <= self.claimed
            && self.claimed <= self.deposited
            && self.window_claimed <= self.rate_limit;
        if holds { Ok(()) } else { Err(Rejection::InvariantBroken) }
    }
}

const _: () = assert!(size_of::<Channel>().wrapping_add(8) == Channel::SPACE);
