//! The Solana CLI's configuration file: people have their RPC address and their key there already.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// What of it is used. Other fields are the Solana CLI's own.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct SolanaConfig {
    /// An address, or a short name of a cluster.
    pub(crate) json_rpc_url: Option<String>,
    /// A keypair file; hardware wallets and prompts (`usb://`, `prompt:`) are not for a command that signs by
    /// itself.
    pub(crate) keypair_path: Option<String>,
}

impl SolanaConfig {
    /// Reads the file that was named, or the usual one if it is there.
    pub(crate) fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => match usual().filter(|path| path.exists()) {
                Some(path) => path,
                None => return Ok(Self::default()),
            },
        };
        let shown = path.display();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("can't read the Solana CLI's configuration {shown}"))?;
        serde_norway::from_str(&text).with_context(|| {
            format!(
                "{shown} is no configuration of the Solana CLI; repair it, or name another by --solana-config"
            )
        })
    }
}

fn usual() -> Option<PathBuf> {
    // on every system under the home folder, as the Solana CLI has it
    let home = directories::BaseDirs::new()?.home_dir().to_owned();
    Some(home.join(".config/solana/cli/config.yml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_solana_cli_is_read_and_what_is_not_ours_is_left() {
        let text = "---\njson_rpc_url: https://api.devnet.solana.com\nwebsocket_url: ''\n\
                    keypair_path: /home/me/id.json\naddress_labels:\n  '11111111111111111111111111111111': System Program\n\
                    commitment: confirmed\n";
        let config: SolanaConfig = serde_norway::from_str(text).unwrap();
        assert_eq!(config.json_rpc_url.as_deref(), Some("https://api.devnet.solana.com"));
        assert_eq!(config.keypair_path.as_deref(), Some("/home/me/id.json"));
    }
}
