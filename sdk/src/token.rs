//! Tokens as people know them: the mints that have a name, and amounts as they are typed.

mod amount;

use amp_protocol::text::network;
use solana_address::Address;

pub use amount::{AmountError, TokenAmount};

/// Name, network, mint. The first of a network is what is paid with where nothing is said. By its issuer's own
/// list; a name proves nothing, so no other mint is called by one.
const KNOWN: [(&str, &str, Address); 3] = [
    ("USDC", network::MAINNET_BETA, Address::from_str_const("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")),
    ("USDC", network::DEVNET, Address::from_str_const("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU")),
    ("USDT", network::MAINNET_BETA, Address::from_str_const("Es9vMFrmaCERmJfrF4H2FYD4KCoNkM11McCe8BenwNYB")),
];

/// The mint that is called so on a network, in whatever case.
pub fn mint_called(name: &str, network: &str) -> Option<Address> {
    let known = KNOWN.iter().find(|(known, on, _)| known.eq_ignore_ascii_case(name) && *on == network);
    known.map(|(.., mint)| *mint)
}

/// What is paid with on a network where nothing is said: USDC.
pub fn usual_mint(network: &str) -> Option<Address> {
    KNOWN.iter().find(|(_, on, _)| *on == network).map(|(.., mint)| *mint)
}

/// What a mint is called, if it has a name.
pub fn name_of(mint: &Address) -> Option<&'static str> {
    KNOWN.iter().find(|(.., known)| known == mint).map(|(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_one_mint_on_one_network() {
        let usdc = mint_called("usdc", network::DEVNET).unwrap();
        assert_eq!((name_of(&usdc), usual_mint(network::DEVNET)), (Some("USDC"), Some(usdc)));
        assert_eq!(mint_called("USDC", network::LOCALNET), None);
        assert_eq!(usual_mint(network::TESTNET), None);
        assert_ne!(mint_called("USDC", network::MAINNET_BETA), Some(usdc));
        assert_eq!(name_of(&Address::from([1; 32])), None);
    }
}
