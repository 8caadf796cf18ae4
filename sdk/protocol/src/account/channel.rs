use super::AccountError;
use crate::layout::{field, i64_at, key_at, put, u64_at};
use crate::message::Key;
use crate::money::Amount;
use crate::rules::{Books, RateWindow, SignerBooks, Terms};

/// Where each field of a channel account begins, counted after the 8-byte discriminator.
pub mod offset {
    #![allow(missing_docs)]
    pub const VERSION: usize = 0;
    pub const BUMP: usize = 1;
    pub const VAULT_BUMP: usize = 2;
    pub const CHAIN_DEPTH: usize = 3;
    pub const MAX_CHAIN_DEPTH: usize = 4;
    pub const FUNDER: usize = 8;
    pub const RECIPIENT: usize = 40;
    pub const AUTHORIZED_SIGNER: usize = 72;
    pub const MINT: usize = 104;
    pub const VAULT: usize = 136;
    pub const RENT_PAYER: usize = 168;
    pub const PARENT: usize = 200;
    pub const NONCE: usize = 232;
    pub const OPENED_SLOT: usize = 240;
    pub const DEPOSITED: usize = 248;
    pub const CLAIMED: usize = 256;
    pub const SIGNER_CLAIMED: usize = 264;
    pub const UNIT_PRICE: usize = 272;
    pub const RATE_LIMIT: usize = 280;
    pub const WINDOW_STARTED_AT: usize = 288;
    pub const WINDOW_CLAIMED: usize = 296;
    pub const LAST_SETTLED_AT: usize = 304;
    pub const CLOSING_AT: usize = 312;
    pub const OPENED_AT: usize = 320;
    pub const SETTLE_INTERVAL: usize = 328;
    pub const CLOSE_GRACE: usize = 332;
    pub const DELEGATED_SLOT: usize = 336;
    pub const RESERVED: usize = 344;
}

const BODY: usize = 400;

/// A channel account, decoded: 408 bytes on chain, discriminator and 56 reserved bytes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelAccount {
    /// Bump of the channel's address.
    pub bump: u8,
    /// Bump of the vault's address.
    pub vault_bump: u8,
    /// Levels of channels above this one.
    pub chain_depth: u8,
    /// Owns the deposit; refunds go here.
    pub funder: Key,
    /// Settlements pay here.
    pub recipient: Key,
    /// Whose credentials the channel honours.
    pub authorized_signer: Key,
    /// The token.
    pub mint: Key,
    /// The token account that holds the deposit.
    pub vault: Key,
    /// Gets the lamports at close.
    pub rent_payer: Key,
    /// The upstream channel, or all zero.
    pub parent: Key,
    /// Tells channels of the same funder and recipient apart.
    pub nonce: u64,
    /// The slot of the opening: the authorized signer's epoch.
    pub opened_slot: u64,
    /// The last slot in which a delegation was created; 0: none was.
    pub delegated_slot: u64,
    /// Unix seconds of the opening.
    pub opened_at: i64,
    /// Unix seconds of the funder's close request; 0: not closing.
    pub closing_at: i64,
    /// The terms it was opened on.
    pub terms: Terms,
    /// Deposit, claims and rate window.
    pub books: Books,
    /// The authorized signer's part of the claims.
    pub signer: SignerBooks,
}

impl ChannelAccount {
    /// Length of the account data.
    pub const LEN: usize = 8 + BODY;
    /// The version this crate reads and the program writes.
    pub const VERSION: u8 = 1;
    /// `sha256("account:Channel")[..8]`.
    pub const DISCRIMINATOR: [u8; 8] = [49, 159, 99, 106, 220, 87, 219, 88];

    /// Reads account data.
    pub fn decode(data: &[u8]) -> Result<Self, AccountError> {
        let data: &[u8; Self::LEN] = data.try_into().map_err(|_| AccountError::Length)?;
        if field::<8, { Self::LEN }>(data, 0) != Self::DISCRIMINATOR {
            return Err(AccountError::Discriminator);
        }
        let body: &[u8; BODY] = &field(data, 8);
        let [version] = field(body, offset::VERSION);
        if version != Self::VERSION {
            return Err(AccountError::Version(version));
        }
        let [bump, vault_bump, chain_depth, max_chain_depth] = field(body, offset::BUMP);
        let amount = |at| Amount::new(u64_at(body, at));
        let closing_at = i64_at(body, offset::CLOSING_AT);
        let terms = Terms {
            unit_price: u64_at(body, offset::UNIT_PRICE),
            rate_limit: u64_at(body, offset::RATE_LIMIT),
            settle_interval: u32::from_le_bytes(field(body, offset::SETTLE_INTERVAL)),
            close_grace: u32::from_le_bytes(field(body, offset::CLOSE_GRACE)),
            max_chain_depth,
        };
        terms.check().map_err(|rejection| AccountError::Field(rejection.name()))?;
        let window = RateWindow {
            started_at: i64_at(body, offset::WINDOW_STARTED_AT),
            claimed: amount(offset::WINDOW_CLAIMED),
        };
        Ok(Self {
            bump,
            vault_bump,
            chain_depth,
            funder: key_at(body, offset::FUNDER),
            recipient: key_at(body, offset::RECIPIENT),
            authorized_signer: key_at(body, offset::AUTHORIZED_SIGNER),
            mint: key_at(body, offset::MINT),
            vault: key_at(body, offset::VAULT),
            rent_payer: key_at(body, offset::RENT_PAYER),
            parent: key_at(body, offset::PARENT),
            nonce: u64_at(body, offset::NONCE),
            opened_slot: u64_at(body, offset::OPENED_SLOT),
            delegated_slot: u64_at(body, offset::DELEGATED_SLOT),
            opened_at: i64_at(body, offset::OPENED_AT),
            closing_at,
            terms,
            books: Books {
                deposited: amount(offset::DEPOSITED),
                claimed: amount(offset::CLAIMED),
                window,
                closing: closing_at != 0,
            },
            signer: SignerBooks {
                claimed: amount(offset::SIGNER_CLAIMED),
                last_settled_at: i64_at(body, offset::LAST_SETTLED_AT),
            },
        })
    }

    /// Account data, as the program writes it: for tests and embedded chains.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut data = [0; Self::LEN];
        let mut set = |at: usize, value: &[u8]| put(&mut data, at.saturating_add(8), value);
        set(offset::VERSION, &[Self::VERSION, self.bump, self.vault_bump, self.chain_depth]);
        set(offset::MAX_CHAIN_DEPTH, &[self.terms.max_chain_depth]);
        for (at, key) in [
            (offset::FUNDER, &self.funder),
            (offset::RECIPIENT, &self.recipient),
            (offset::AUTHORIZED_SIGNER, &self.authorized_signer),
            (offset::MINT, &self.mint),
            (offset::VAULT, &self.vault),
            (offset::RENT_PAYER, &self.rent_payer),
            (offset::PARENT, &self.parent),
        ] {
            set(at, key);
        }
        for (at, value) in [
            (offset::NONCE, self.nonce),
            (offset::OPENED_SLOT, self.opened_slot),
            (offset::DELEGATED_SLOT, self.delegated_slot),
            (offset::DEPOSITED, self.books.deposited.get()),
            (offset::CLAIMED, self.books.claimed.get()),
            (offset::SIGNER_CLAIMED, self.signer.claimed.get()),
            (offset::UNIT_PRICE, self.terms.unit_price),
            (offset::RATE_LIMIT, self.terms.rate_limit),
            (offset::WINDOW_CLAIMED, self.books.window.claimed.get()),
        ] {
            set(at, &value.to_le_bytes());
        }
        for (at, value) in [
            (offset::WINDOW_STARTED_AT, self.books.window.started_at),
            (offset::LAST_SETTLED_AT, self.signer.last_settled_at),
            (offset::CLOSING_AT, self.closing_at),
            (offset::OPENED_AT, self.opened_at),
        ] {
            set(at, &value.to_le_bytes());
        }
        set(offset::SETTLE_INTERVAL, &self.terms.settle_interval.to_le_bytes());
        set(offset::CLOSE_GRACE, &self.terms.close_grace.to_le_bytes());
        put(&mut data, 0, &Self::DISCRIMINATOR);
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> ChannelAccount {
        ChannelAccount {
            bump: 254,
            vault_bump: 253,
            chain_depth: 1,
            funder: [1; 32],
            recipient: [2; 32],
            authorized_signer: [3; 32],
            mint: [4; 32],
            vault: [5; 32],
            rent_payer: [6; 32],
            parent: [7; 32],
            nonce: 8,
            opened_slot: 9,
            delegated_slot: 21,
            opened_at: 10,
            closing_at: 11,
            terms: Terms {
                unit_price: 12,
                rate_limit: 13,
                settle_interval: 14,
                close_grace: 15,
                max_chain_depth: 2,
            },
            books: Books {
                deposited: Amount::new(17),
                claimed: Amount::new(16),
                window: RateWindow { started_at: 18, claimed: Amount::new(19) },
                closing: true,
            },
            signer: SignerBooks { claimed: Amount::new(16), last_settled_at: 20 },
        }
    }

    #[test]
    fn a_channel_account_reads_back_what_was_written() {
        assert_eq!(ChannelAccount::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn other_lengths_kinds_and_versions_are_refused() {
        let good = sample().encode();
        assert_eq!(ChannelAccount::decode(&good[1..]), Err(AccountError::Length));
        let mut other = good;
        other[0] ^= 1;
        assert_eq!(ChannelAccount::decode(&other), Err(AccountError::Discriminator));
        let mut newer = good;
        newer[8] = 2;
        assert_eq!(ChannelAccount::decode(&newer), Err(AccountError::Version(2)));
    }

    proptest! {
        #[test]
        fn no_account_data_makes_it_panic(mut data in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = ChannelAccount::decode(&data);
            data.resize(ChannelAccount::LEN, 0);
            data[..8].copy_from_slice(&ChannelAccount::DISCRIMINATOR);
            data[8] = ChannelAccount::VERSION;
            let _ = ChannelAccount::decode(&data);
        }
    }
}
