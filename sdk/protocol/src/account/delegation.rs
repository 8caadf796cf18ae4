use super::AccountError;
use crate::layout::{field, i64_at, key_at, put, u64_at};
use crate::message::Key;
use crate::money::Amount;
use crate::rules::{Delegation, SignerBooks};

/// Where each field of a delegation account begins, counted after the 8-byte discriminator.
pub mod delegation_offset {
    #![allow(missing_docs)]
    pub const VERSION: usize = 0;
    pub const BUMP: usize = 1;
    pub const CHANNEL: usize = 8;
    pub const DELEGATE: usize = 40;
    pub const RENT_PAYER: usize = 72;
    pub const CHANNEL_OPENED_SLOT: usize = 104;
    pub const CREATED_SLOT: usize = 112;
    pub const LIMIT: usize = 120;
    pub const CLAIMED: usize = 128;
    pub const LAST_SETTLED_AT: usize = 136;
    pub const EXPIRES_AT: usize = 144;
    pub const REVOKED_AT: usize = 152;
    pub const RESERVED: usize = 160;
}

use delegation_offset as offset;

const BODY: usize = 200;

/// A delegation account, decoded: 208 bytes on chain, discriminator and 40 reserved bytes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationAccount {
    /// Bump of the account's address.
    pub bump: u8,
    /// The channel that may be spent from.
    pub channel: Key,
    /// Whose credentials the channel honours, too.
    pub delegate: Key,
    /// Gets the lamports when the account is closed.
    pub rent_payer: Key,
    /// The channel's `opened_slot`: for another incarnation of the channel this is worthless.
    pub channel_opened_slot: u64,
    /// The slot the delegation was made in: the delegate's epoch.
    pub created_slot: u64,
    /// Limit, claims, expiry and revocation.
    pub delegation: Delegation,
}

impl DelegationAccount {
    /// Length of the account data.
    pub const LEN: usize = 8 + BODY;
    /// The version this crate reads and the program writes.
    pub const VERSION: u8 = 1;
    /// `sha256("account:Delegation")[..8]`.
    pub const DISCRIMINATOR: [u8; 8] = [237, 90, 140, 159, 124, 255, 243, 80];

    /// Reads account data.
    pub fn decode(data: &[u8]) -> Result<Self, AccountError> {
        let data: &[u8; Self::LEN] = data.try_into().map_err(|_| AccountError::Length)?;
        if field::<8, { Self::LEN }>(data, 0) != Self::DISCRIMINATOR {
            return Err(AccountError::Discriminator);
        }
        let body: &[u8; BODY] = &field(data, 8);
        let [version, bump] = field(body, offset::VERSION);
        if version != Self::VERSION {
            return Err(AccountError::Version(version));
        }
        Ok(Self {
            bump,
            channel: key_at(body, offset::CHANNEL),
            delegate: key_at(body, offset::DELEGATE),
            rent_payer: key_at(body, offset::RENT_PAYER),
            channel_opened_slot: u64_at(body, offset::CHANNEL_OPENED_SLOT),
            created_slot: u64_at(body, offset::CREATED_SLOT),
            delegation: Delegation {
                limit: Amount::new(u64_at(body, offset::LIMIT)),
                signer: SignerBooks {
                    claimed: Amount::new(u64_at(body, offset::CLAIMED)),
                    last_settled_at: i64_at(body, offset::LAST_SETTLED_AT),
                },
                expires_at: i64_at(body, offset::EXPIRES_AT),
                revoked_at: i64_at(body, offset::REVOKED_AT),
            },
        })
    }

    /// Account data, as the program writes it: for tests and embedded chains.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut data = [0; Self::LEN];
        let mut set = |at: usize, value: &[u8]| put(&mut data, at.saturating_add(8), value);
        set(offset::VERSION, &[Self::VERSION, self.bump]);
        set(offset::CHANNEL, &self.channel);
        set(offset::DELEGATE, &self.delegate);
        set(offset::RENT_PAYER, &self.rent_payer);
        for (at, value) in [
            (offset::CHANNEL_OPENED_SLOT, self.channel_opened_slot),
            (offset::CREATED_SLOT, self.created_slot),
            (offset::LIMIT, self.delegation.limit.get()),
            (offset::CLAIMED, self.delegation.signer.claimed.get()),
        ] {
            set(at, &value.to_le_bytes());
        }
        for (at, value) in [
            (offset::LAST_SETTLED_AT, self.delegation.signer.last_settled_at),
            (offset::EXPIRES_AT, self.delegation.expires_at),
            (offset::REVOKED_AT, self.delegation.revoked_at),
        ] {
            set(at, &value.to_le_bytes());
        }
        put(&mut data, 0, &Self::DISCRIMINATOR);
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> DelegationAccount {
        DelegationAccount {
            bump: 254,
            channel: [1; 32],
            delegate: [2; 32],
            rent_payer: [3; 32],
            channel_opened_slot: 4,
            created_slot: 5,
            delegation: Delegation {
                limit: Amount::new(6),
                signer: SignerBooks { claimed: Amount::new(7), last_settled_at: 8 },
                expires_at: 9,
                revoked_at: 10,
            },
        }
    }

    #[test]
    fn a_delegation_account_reads_back_what_was_written() {
        assert_eq!(DelegationAccount::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn other_lengths_kinds_and_versions_are_refused() {
        let good = sample().encode();
        assert_eq!(DelegationAccount::decode(&good[1..]), Err(AccountError::Length));
        let mut other = good;
        other[0] ^= 1;
        assert_eq!(DelegationAccount::decode(&other), Err(AccountError::Discriminator));
        let mut newer = good;
        newer[8] = 2;
        assert_eq!(DelegationAccount::decode(&newer), Err(AccountError::Version(2)));
    }

    proptest! {
        #[test]
        fn no_account_data_makes_it_panic(mut data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = DelegationAccount::decode(&data);
            data.resize(DelegationAccount::LEN, 0);
            data[..8].copy_from_slice(&DelegationAccount::DISCRIMINATOR);
            data[8] = DelegationAccount::VERSION;
            let _ = DelegationAccount::decode(&data);
        }
    }
}
