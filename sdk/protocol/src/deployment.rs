//! The program id of each cluster: the one place where a deployment is recorded.
//!
//! The program declares the id of the cluster that it is built for, clients pin that of the cluster they
//! pay on, services settle with it. No deployment is recorded for the public clusters: whoever makes one
//! records it here (`migrations/program-id.sh`, docs/deploy.md), or gives its id to both sides. What
//! isn't recorded is pinned by nobody, and nobody is asked: an id that a service names is money.

use five8_const::decode_32_const;

use crate::text::network;

/// A program id.
pub type ProgramId = [u8; 32];

/// Local validators and embedded chains, base58. Readable text; nobody has its key.
pub const LOCALNET: Option<&str> = Some("AMPchanne1111111111111111111111111111111111");
/// The public development cluster, base58; `None`: no deployment is recorded.
pub const DEVNET: Option<&str> = None;
/// The public test cluster.
pub const TESTNET: Option<&str> = None;
/// Real money.
pub const MAINNET_BETA: Option<&str> = None;

/// The clusters by the names of [`network`], with what is recorded for them. Text that is no id does not
/// compile.
pub const RECORDED: [(&str, Option<ProgramId>); 4] = [
    (network::LOCALNET, id(LOCALNET)),
    (network::DEVNET, id(DEVNET)),
    (network::TESTNET, id(TESTNET)),
    (network::MAINNET_BETA, id(MAINNET_BETA)),
];

/// The id recorded for a cluster, by its name in the discovery document; `None` where there is none, and
/// for names of no cluster.
pub fn program_id(network: &str) -> Option<ProgramId> {
    let cluster = RECORDED.iter().find(|(name, _)| *name == network);
    cluster.and_then(|(_, recorded)| *recorded)
}

const fn id(recorded: Option<&str>) -> Option<ProgramId> {
    match recorded {
        Some(text) => Some(decode_32_const(text)),
        None => None,
    }
}

/// The id that bytecode for a cluster declares.
///
/// # Panics
/// At compile time, where none is recorded: such bytecode could not be deployed anywhere.
pub const fn declared(recorded: Option<&str>) -> ProgramId {
    match id(recorded) {
        Some(id) => id,
        None => panic!("no program id is recorded for this cluster: run `migrations/program-id.sh`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::string::String;

    #[test]
    fn a_name_of_no_cluster_has_no_program() {
        assert_eq!(program_id("solana:local"), None);
        assert_eq!(program_id(""), None);
        assert_eq!(program_id(network::LOCALNET), Some(declared(LOCALNET)));
    }

    #[test]
    fn no_two_clusters_share_a_name() {
        for (nth, (name, _)) in RECORDED.iter().enumerate() {
            assert_eq!(RECORDED.iter().position(|(other, _)| other == name), Some(nth));
        }
    }

    /// Anchor's tools read theirs.
    #[test]
    fn anchor_toml_names_the_programs_that_are_recorded_here() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Anchor.toml");
        let text = fs::read_to_string(path).expect("Anchor.toml");
        let named = |section: &str| -> Option<String> {
            let header = std::format!("[programs.{section}]\n");
            let (_, rest) = text.split_once(&header).unwrap_or_else(|| panic!("no {header}"));
            let lines = rest.lines().take_while(|line| !line.starts_with('['));
            let mut ids = lines.filter_map(|line| line.strip_prefix("amp = \"")?.strip_suffix('"'));
            ids.next().map(String::from)
        };
        let cases =
            [("localnet", LOCALNET), ("devnet", DEVNET), ("testnet", TESTNET), ("mainnet", MAINNET_BETA)];
        for (section, recorded) in cases {
            assert_eq!(named(section).as_deref(), recorded, "{section}: run migrations/program-id.sh");
        }
    }
}
