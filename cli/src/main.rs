//! The `amp` command: pays services from a terminal or a script, and looks after the channels.

mod agent;
mod commands;
mod output;

use clap::{Parser, Subcommand};

use agent::AgentOptions;
use commands::{call, channels, discover, keygen, serve};

/// Pay services through one persistent channel on Solana.
#[derive(Parser)]
#[command(
    name = "amp",
    version,
    after_help = "All amounts are integers in the mint's base units: 1 USDC = 1000000."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a keypair file.
    Keygen(keygen::Keygen),
    /// Show what a service costs and who is paid.
    Discover(discover::Discover),
    /// Call a URL with GET, and pay for it.
    Get(call::Get),
    /// Call a URL with POST, and pay for it.
    Post(call::Post),
    /// List the channels of this agent.
    Channels(channels::List),
    /// Ask a service what it has charged, and check its receipt.
    Status(channels::Status),
    /// Add to the deposit of a channel.
    TopUp(channels::TopUp),
    /// Close a channel and get the rest back.
    Close(channels::Close),
    /// Put AMP in front of an HTTP API.
    Serve(Box<serve::Serve>),
    /// Close all channels of this agent.
    CloseAll(AgentOptions),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Keygen(command) => command.run(),
        Command::Discover(command) => command.run().await,
        Command::Get(command) => command.run().await,
        Command::Post(command) => command.run().await,
        Command::Channels(command) => command.run().await,
        Command::Status(command) => command.run().await,
        Command::TopUp(command) => command.run().await,
        Command::Close(command) => command.run().await,
        Command::Serve(command) => command.run().await,
        Command::CloseAll(options) => channels::close_all(options).await,
    }
}
