//! The SDK over JSON-RPC and WebSocket on a real cluster: the program is deployed as users deploy it, channels
//! live and die, nodes fail, and after each scenario every base unit is accounted for. `make e2e`.
//!
//! Without `AMP_RPC_URL` it starts a `solana-test-validator` of its own, and stops it. With it, it runs on that
//! cluster: `AMP_PAYER` is the keypair file that pays for everything, `AMP_NETWORK` its name, `AMP_PROGRAM_ID` a program
//! that is deployed there already. What can't be done there is said, and left out.
//!
//! `AMP_VALIDATOR_ARGS` goes to a validator of its own: `--deactivate-feature txv1aq4pp281K9um3tnPgkfX8UqtFT6wcVW3hNezGLL` makes
//! it one that takes packets alone, as public clusters may.
//!
//! A program and not a test: it needs a validator, and a test that passes where there is none proves nothing.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the run, as it should")]

mod cluster;
mod page;
mod patience;
mod scenarios;
mod town;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use scenarios::{SCENARIOS, Scenario};

/// End-to-end tests on a real validator.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Lists the scenarios, and does nothing else.
    #[arg(long)]
    list: bool,
    /// Makes a keypair file for the program where there is none, prints its address, and does nothing else.
    #[arg(long, value_name = "FILE")]
    key: Option<std::path::PathBuf>,
    /// Writes what was measured into docs/performance.md.
    #[arg(long)]
    write: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let is_wanted = |scenario: &&Scenario| match &arguments.only {
        Some(part) => scenario.name().contains(part.as_str()),
        None => true,
    };
    let wanted: Vec<&Scenario> = SCENARIOS.iter().filter(is_wanted).collect();
    if let Some(file) = &arguments.key {
        return match cluster::program_key(file) {
            Ok(id) => {
                println!("{id}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("e2e: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    if arguments.list {
        for scenario in wanted {
            println!("{}", scenario.name());
        }
        return ExitCode::SUCCESS;
    }
    // whoever stops it stops its validator: it is killed when it is dropped
    let ended = tokio::select! {
        ended = run(&wanted, arguments.write) => ended,
        () = stopped() => Err(anyhow::anyhow!("stopped")),
    };
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Comes when it is told to stop.
async fn stopped() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => {
                terminated.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// How many failed.
async fn run(wanted: &[&Scenario], write: bool) -> anyhow::Result<usize> {
    anyhow::ensure!(!wanted.is_empty(), "no scenario has such a name; `--list` shows all");
    let cluster = Cluster::connect().await?;
    let (mut passed, mut failed, mut skipped) = (0_usize, Vec::new(), 0_usize);
    for scenario in wanted {
        if scenario.needs_own_validator() && !cluster.is_own() {
            println!("SKIPPED on this cluster, which is not ours to restart: {}", scenario.name());
            skipped = skipped.saturating_add(1);
            continue;
        }
        let begun = Instant::now();
        match scenario.play(&cluster).await {
            Ok(()) => {
                println!("ok   {:5.1} s  {}", begun.elapsed().as_secs_f64(), scenario.name());
                passed = passed.saturating_add(1);
            }
            Err(error) => {
                println!("FAIL {:5.1} s  {}\n     {error:#}", begun.elapsed().as_secs_f64(), scenario.name());
                failed.push(scenario.name());
            }
        }
    }
    if write {
        page::write(&cluster.measured())?;
    }
    cluster.stop().await?;
    println!("{passed} passed, {} failed, {skipped} skipped", failed.len());
    for name in &failed {
        println!("failed: {name}");
    }
    Ok(failed.len())
}
