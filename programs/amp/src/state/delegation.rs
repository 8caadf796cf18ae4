use core::mem::{offset_of, size_of};

use amp_protocol::account::{DelegationAccount, delegation_offset as offset};
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{self, SignerBooks};
use anchor_lang::prelude::*;

/// A delegation: 208 bytes with the discriminator, read in place. Fields keep their offsets for ever;
/// new ones are taken from `reserved`.
#[account(zero_copy)]
#[derive(Debug)]
#[repr(C)]
pub struct Delegation {
    pub version: u8,
    pub bump: u8,
    pub padding: [u8; 6],
    pub channel: Pubkey,
    pub delegate: Pubkey,
    pub rent_payer: Pubkey,
    /// For another incarnation of the channel this is worthless.
    pub channel_opened_slot: u64,
    /// The delegate's epoch.
    pub created_slot: u64,
    pub limit: u64,
    pub claimed: u64,
    pub last_settled_at: i64,
    /// Zero: never.
    pub expires_at: i64,
    /// Zero: not revoked.
    pub revoked_at: i64,
    pub reserved: [u8; 40],
}

macro_rules! pinned {
    ($($field:ident at $offset:ident;)*) => {
        $(const _: () = assert!(offset_of!(Delegation, $field) == offset::$offset);)*
    };
}

pinned! {
    version at VERSION;
    bump at BUMP;
    channel at CHANNEL;
    delegate at DELEGATE;
    rent_payer at RENT_PAYER;
    channel_opened_slot at CHANNEL_OPENED_SLOT;
    created_slot at CREATED_SLOT;
    limit at LIMIT;
    claimed at CLAIMED;
    last_settled_at at LAST_SETTLED_AT;
    expires_at at EXPIRES_AT;
    revoked_at at REVOKED_AT;
    reserved at RESERVED;
}

impl Delegation {
    /// Length of the account data.
    pub const SPACE: usize = DelegationAccount::LEN;

    /// As the rules read it.
    pub fn terms(&self) -> rules::Delegation {
        rules::Delegation {
            limit: Amount::new(self.limit),
            signer: SignerBooks { claimed: Amount::new(self.claimed), last_settled_at: self.last_settled_at },
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        }
    }

    /// Writes what the rules made of it.
    pub fn record(&mut self, terms: &rules::Delegation) {
        self.limit = terms.limit.get();
        self.claimed = terms.signer.claimed.get();
        self.last_settled_at = terms.signer.last_settled_at;
        self.expires_at = terms.expires_at;
        self.revoked_at = terms.revoked_at;
    }

    /// Refuses accounts of a version this program can't read.
    pub fn check_version(&self) -> core::result::Result<(), Rejection> {
        if self.version == DelegationAccount::VERSION { Ok(()) } else { Err(Rejection::UnknownVersion) }
    }

    /// Refuses a delegation of another channel, or of another incarnation of this one.
    pub fn check_of(&self, channel: &Pubkey, opened_slot: u64) -> core::result::Result<(), Rejection> {
        if self.channel != *channel {
            return Err(Rejection::WrongDelegation);
        }
        if self.channel_opened_slot != opened_slot {
            return Err(Rejection::DelegationOfEarlierChannel);
        }
        Ok(())
    }

    /// What holds of every delegation, always: `claimed <= limit`. Every instruction that writes one
    /// ends with it.
    pub fn invariant(&self) -> core::result::Result<(), Rejection> {
        if self.claimed <= self.limit { Ok(()) } else { Err(Rejection::InvariantBroken) }
    }
}

const _: () = assert!(size_of::<Delegation>().wrapping_add(8) == Delegation::SPACE);
