//! Kills a service under load for as often as asked; the service itself is in here too.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use amp_crash::service::Serve;
use amp_crash::{Books, Trial};
use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

/// Kills a service under load, and holds what it can claim against what its clients saw served.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// How often the service is killed.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Decides the instants; the clock, unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Give the service a store that answers too early: this must fail.
    #[arg(long)]
    forgetful: bool,
    /// Two processes on one PostgreSQL database.
    #[arg(long, conflicts_with = "forgetful")]
    postgres: bool,
    /// A folder for the store, which is kept; a temporary one, unless given.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// The service: started, and killed, by the rest.
    #[command(hide = true)]
    Serve(Serve),
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Serve(serve)) = arguments.role {
        return serve.run().await;
    }
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    println!("{} rounds, seed {seed}", arguments.rounds);
    let program = std::env::current_exe()?;
    let books = match arguments {
        Arguments { forgetful: true, .. } => Books::Forgetful,
        Arguments { postgres: true, .. } => Books::Postgres,
        _ => Books::Sqlite,
    };
    let trial = Trial { program, rounds: arguments.rounds, seed, books };
    let temporary = tempfile::tempdir()?;
    let folder = arguments.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder)?;
    let report = trial.run(folder, |round| {
        if round % 100 == 0 {
            println!("  {round} rounds");
        }
    });
    let report = report.await?;
    println!("{report}");
    ensure!(report.violations.is_empty(), "the service broke its promises (seed {seed})");
    Ok(())
}
