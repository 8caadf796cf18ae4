//! A file download over gRPC, priced by the byte: the service in `service.rs`, the agent in `agent.rs`. The agent signs
//! for a little more than it has received, whatever the file's size. Real bytecode on an embedded chain, real HTTP/2.
//!
//! `make demo-grpc`. Exits non-zero where the money does not add up.

mod agent;
mod service;

/// Of `proto/files.proto`; a project of one's own has `tonic-prost-build` write this.
#[allow(unreachable_pub, reason = "it is generated")]
mod files {
    include!("generated/files.v1.rs");
}

use std::sync::Arc;

use amp_embedded::{ClockMode, EmbeddedChain};
use amp_sdk::chain::TOKEN_PROGRAM;
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::ensure;

/// Bytes of the file.
const SIZE: u64 = 3 << 20;
/// Seconds between settlements.
const INTERVAL: u32 = 600;

async fn run() -> anyhow::Result<()> {
    let chain = EmbeddedChain::new(ClockMode::Wall)?;
    let mint = chain.create_mint(&TOKEN_PROGRAM)?;
    let (agent, recipient) = (KeypairSigner::generate(), KeypairSigner::generate());
    for (key, tokens) in [(&agent, 1_000_000), (&recipient, 0)] {
        chain.airdrop(&key.public_key(), 1_000_000_000)?;
        chain.mint_to(&mint, &key.public_key(), Amount::new(tokens))?;
    }
    let (folder, shared) = (tempfile::tempdir()?, Arc::new(chain.clone()));
    let shop = service::serve(recipient.clone(), mint.address, shared.clone(), folder.path()).await?;
    let bytes = agent::download(agent, mint.address, shared, folder.path(), &shop.url).await?;
    chain.advance_seconds(INTERVAL);
    shop.service.settle_all().await;
    let earned = chain.tokens(&mint.account_of(&recipient.public_key())).get();
    eprintln!("  the agent has {bytes} bytes, the service has earned {earned} base units");
    // one for every 1024 bytes; a message has a few beside its content
    ensure!(bytes == SIZE && (3072..3100).contains(&earned), "{bytes} bytes for {earned} base units");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run().await
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_is_paid_for_as_it_comes() {
        super::run().await.unwrap();
    }
}
