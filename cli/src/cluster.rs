//! Which cluster it is: addresses, short names, and the names that services use.

use amp_sdk::protocol::text::network;

/// Where a node on this machine listens.
pub(crate) const LOCAL: &str = "http://127.0.0.1:8899";

/// The clusters that the Solana CLI has short names for: names, address, network, hash of the first block.
const KNOWN: [(&[&str], &str, &str, &str); 3] = [
    (
        &["mainnet-beta", "mainnet", "m"],
        "https://api.mainnet-beta.solana.com",
        network::MAINNET_BETA,
        "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    ),
    (
        &["devnet", "d"],
        "https://api.devnet.solana.com",
        network::DEVNET,
        "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxkTNXHn",
    ),
    (
        &["testnet", "t"],
        "https://api.testnet.solana.com",
        network::TESTNET,
        "4uhcVJyU9pJkvQyUS88uRDiswHXSCkY3zQawwpjk2NsY",
    ),
];

/// The address of what may be a short name.
pub(crate) fn rpc_url(text: &str) -> String {
    if ["localhost", "l"].contains(&text) {
        return LOCAL.to_owned();
    }
    let known = KNOWN.iter().find(|(names, ..)| names.contains(&text));
    known.map_or(text, |(_, url, ..)| url).to_owned()
}

/// The network's name in discovery documents, of what may be a short name.
pub(crate) fn network_name(text: &str) -> String {
    if ["localhost", "localnet", "l"].contains(&text) {
        return network::LOCALNET.to_owned();
    }
    let known = KNOWN.iter().find(|(names, ..)| names.contains(&text));
    known.map_or(text, |(_, _, network, _)| network).to_owned()
}

/// The network that a node's address tells by itself.
pub(crate) fn network_of_url(url: &str) -> Option<&'static str> {
    let url: reqwest::Url = url.parse().ok()?;
    let host = url.host_str()?;
    let is_local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    let official = || {
        let known = KNOWN.iter().find(|(_, known, ..)| known.strip_prefix("https://") == Some(host))?;
        Some(known.2)
    };
    if is_local { Some(network::LOCALNET) } else { official() }
}

/// The network whose first block has this hash.
pub(crate) fn network_of_genesis(hash: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(.., genesis)| *genesis == hash).map(|(_, _, network, _)| *network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_those_of_the_solana_cli() {
        for (name, url) in [
            ("m", "https://api.mainnet-beta.solana.com"),
            ("devnet", "https://api.devnet.solana.com"),
            ("localhost", LOCAL),
            ("https://node.example", "https://node.example"),
        ] {
            assert_eq!(rpc_url(name), url);
        }
    }

    #[test]
    fn no_address_is_taken_for_a_network_that_it_only_resembles() {
        assert_eq!(network_of_url("https://api.devnet.solana.com/"), Some(network::DEVNET));
        assert_eq!(network_of_url("http://127.0.0.1:8899"), Some(network::LOCALNET));
        for other in ["https://api.devnet.solana.com.evil.example", "https://node.example", "devnet", ""] {
            assert_eq!(network_of_url(other), None, "{other}");
        }
    }

    #[test]
    fn genesis_hashes_are_hashes() {
        for (.., genesis) in KNOWN {
            assert_eq!(bs58::decode(genesis).into_vec().unwrap().len(), 32, "{genesis}");
        }
    }
}
