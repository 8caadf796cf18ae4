//! The `amp` command: pays services from a terminal or a script, and looks after the channels.

mod amount;
mod arguments;
mod cluster;
mod commands;
mod confirm;
mod credential;
mod exit;
mod explain;
mod limits;
mod moment;
mod output;
mod settings;
mod solana_config;
mod token;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.common.json;
    match commands::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error, json),
    }
}
