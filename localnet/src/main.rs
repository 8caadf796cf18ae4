//! `make localnet`: a chain of one's own, to try AMP on. LiteSVM runs the real `amp.so` behind JSON-RPC, and a folder
//! has the keys of a service and of an agent with tokens, and `env`, which tells `amp` of all that. When it stops
//! everything is gone.

use std::fs;
use std::path::PathBuf;

use amp_embedded::{ClockMode, EmbeddedChain};
use amp_sdk::chain::TOKEN_PROGRAM;
use amp_sdk::protocol::money::Amount;
use amp_test_node::Node;
use anyhow::Context as _;
use clap::Parser;
use solana_keypair::{Keypair, write_keypair_file};
use solana_signer::Signer as _;

const LAMPORTS: u64 = 10_000_000_000;
/// The agent's: a thousand tokens with six decimals.
const TOKENS: u64 = 1_000_000_000;

/// A chain of one's own to try AMP on; it is gone when this stops.
#[derive(Parser)]
#[command(name = "amp-localnet", version)]
struct Arguments {
    /// Where requests are answered, on loopback; changes are told one port above.
    #[arg(long, default_value_t = 8899)]
    port: u16,
    /// Where keys and settings go. What an earlier run left there is removed.
    #[arg(long, default_value = "target/localnet")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { port, folder } = Arguments::parse();
    let chain = EmbeddedChain::new(ClockMode::Wall)?;
    let mint = chain.create_mint(&TOKEN_PROGRAM)?;
    let (service, agent) = (Keypair::new(), Keypair::new());
    for (who, tokens) in [(&service, 0), (&agent, TOKENS)] {
        chain.airdrop(&who.pubkey(), LAMPORTS)?;
        chain.mint_to(&mint, &who.pubkey(), Amount::new(tokens))?;
    }
    let node = Node::start_at(chain, port)
        .await
        .with_context(|| format!("ports {port} and {} must be free; see --port", port.saturating_add(1)))?;
    // stores of an earlier chain know channels that are not on this one
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    for (name, key) in [("service.json", &service), ("agent.json", &agent)] {
        // it makes a file for its owner's eyes
        let written = write_keypair_file(key, folder.join(name));
        written.map_err(|error| anyhow::anyhow!("can't write {name}: {error}"))?;
    }
    let at = folder.display();
    let settings = [
        ("AMP_RPC_URL", node.url()),
        ("AMP_NETWORK", "solana:localnet".to_owned()),
        ("AMP_MINT", mint.address.to_string()),
        ("AMP_SERVICE_KEYPAIR", format!("{at}/service.json")),
        ("AMP_SERVICE_STORE", format!("{at}/service.db")),
        ("AMP_KEYPAIR", format!("{at}/agent.json")),
        ("AMP_STORE", format!("{at}/agent.db")),
    ];
    let lines: String = settings.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    fs::write(folder.join("env"), lines)?;
    println!("a chain at {}; the agent has 1000 tokens of {}", node.url(), mint.address);
    println!("keys, and settings for a shell: {at}/env");
    println!("now, in other terminals:");
    println!("  make serve UPSTREAM=http://127.0.0.1:8000 PRICE=0.001");
    println!("  make pay URL=http://127.0.0.1:8402/");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
