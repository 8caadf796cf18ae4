//! `make bench`: what being paid costs, as ratios made in one run.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow ends the run, as it should")]

mod backend;
mod chain;
mod depth;
mod gateway;
mod http;
mod idle;
mod in_process;
mod measure;
mod page;
mod run;
mod town;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// What being paid costs: the paid path against one strict signature check, and against the same route
/// unpaid.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: run::Run,
}

#[derive(Subcommand)]
enum Role {
    /// The server that is under load: started, and killed, by the rest.
    #[command(hide = true)]
    Serve(http::Serve),
    /// The service that idles.
    #[command(hide = true)]
    Idle(idle::Idle),
    /// The gateway in front of an API, against the API alone; and its memory over a million requests.
    Gateway(gateway::Measure),
    /// The gateway.
    #[command(hide = true)]
    ServeGateway(gateway::Serve),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Serve(serve)) => serve.run(),
        Some(Role::Idle(idle)) => idle.run(),
        Some(Role::Gateway(measure)) => measure.run(),
        Some(Role::ServeGateway(serve)) => serve.run(),
        None => arguments.run.run(),
    }
}
