//! The command line.

use clap::{Parser, Subcommand};

use crate::commands;
use crate::exit;
use crate::settings::Common;

const AMOUNTS: &str = "\
Amounts are in tokens, with the mint's decimals: 1.5, \"1.50 USDC\". Base units are marked with a u: 1500000u.
Times to come are durations: 30m, 12h, 7d. JSON has base units, as decimal strings, and Unix seconds.";

/// Pay services through one persistent payment channel on Solana.
#[derive(Parser)]
#[command(name = "amp", version, max_term_width = 110, after_help = AMOUNTS, after_long_help = exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a keypair file.
    Keygen(commands::keygen::Keygen),
    /// Show what a service costs and who is paid.
    Discover(commands::discover::Discover),
    /// Open a channel to a service.
    Open(commands::open::Open),
    /// Add to the deposit of a channel.
    TopUp(commands::top_up::TopUp),
    /// Show a channel: on chain, in this agent's store, and as its service sees it.
    Show(commands::show::Show),
    /// List channels: this agent's, or those on chain of a funder, a recipient or a delegate.
    List(commands::list::List),
    /// Call a URL and pay for it.
    Call(commands::call::Call),
    /// Read an answer that is paid for while it comes.
    Stream(commands::stream::Stream),
    /// Let another key spend from a channel.
    Delegate(commands::delegate::Delegate),
    /// Stop a key from spending from a channel.
    Revoke(commands::delegate::Revoke),
    /// Ask for the close of a channel whose service is gone; after the grace, close it.
    RequestClose(commands::close::RequestClose),
    /// Close a channel and get the rest back.
    Close(commands::close::Close),
    /// Claim what a credential is worth, by hand.
    Settle(commands::settle::Settle),
    /// Check what a service signed.
    #[command(subcommand)]
    Receipt(commands::receipt::Receipt),
    /// Watch channels in the terminal.
    Watch(commands::watch::Watch),
    /// Say what a transaction, an account, a credential, a header or a receipt is.
    Decode(commands::decode::Decode),
    /// Say what is wrong with a cluster, a key, a clock or a service, before a transaction does.
    Doctor(commands::doctor::Doctor),
    /// Put AMP in front of an HTTP API.
    Serve(Box<commands::serve::Serve>),
    /// Live the whole life of a channel on an embedded chain.
    Demo(commands::demo::Demo),
    /// Pay for many calls and measure them.
    Bench(commands::bench::Bench),
    /// Print completions for a shell.
    Completions(commands::shell::Completions),
    /// Print the manual pages, or write them to a folder.
    Man(commands::shell::Man),
}
