use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::output;
use crate::settings::Common;

/// Makes a keypair file in the format of the Solana tools.
#[derive(Args)]
pub(crate) struct Keygen {
    /// The file to make. An existing one is never overwritten.
    file: PathBuf,
}

impl Keygen {
    pub(crate) fn run(&self, common: &Common) -> anyhow::Result<()> {
        let keypair = Keypair::new();
        let mut options = OpenOptions::new();
        // create_new: a key that holds money must not be lost to a typing error
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let path = self.file.display();
        let mut file = options
            .open(&self.file)
            .with_context(|| format!("can't create {path}; is there one already?"))?;
        let bytes = serde_json::to_string(&keypair.to_bytes().to_vec())?;
        file.write_all(bytes.as_bytes()).with_context(|| format!("can't write {path}"))?;
        let address = keypair.pubkey().to_string();
        output::print(common.json, &json!({"address": address, "file": self.file}), &address);
        Ok(())
    }
}
