//! Holds the model against the bytecode for as long as asked.

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amp_model::regressions;
use amp_model::soak::Soak;
use clap::Parser;

/// Random sequences of operations, honest and hostile, done to a model of the protocol and to the real bytecode,
/// until time is up or the two differ.
#[derive(Parser)]
struct Arguments {
    /// Minutes to run.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Stop after so many operations.
    #[arg(long, default_value_t = u64::MAX)]
    operations: u64,
    /// Threads; by default one a core.
    #[arg(long)]
    threads: Option<u32>,
    /// Decides the sequences; by default the clock.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let soak = Soak {
        seed: arguments.seed.unwrap_or(clock.as_secs()),
        threads: arguments.threads.unwrap_or(u32::try_from(cores).unwrap_or(1)),
        time: Duration::from_secs(arguments.minutes.saturating_mul(60)),
        operations: arguments.operations,
        sequences: u64::MAX,
    };
    println!("seed {}, {} threads", soak.seed, soak.threads);
    const BETWEEN: Duration = Duration::from_secs(30);
    let said = Mutex::new(Duration::ZERO);
    let report = soak.run(|tally, elapsed| {
        if let Ok(mut said) = said.lock()
            && elapsed.saturating_sub(*said) >= BETWEEN
        {
            *said = elapsed;
            let (sequences, operations) = (tally.sequences, tally.operations);
            println!("{:>6} s  {sequences} sequences, {operations} operations", elapsed.as_secs());
        }
    });
    println!("\n{}", report.tally);
    println!("{:.0} operations a second for {:.0} s", report.rate(), report.time.as_secs_f64());
    for failure in &report.failures {
        println!("\n{failure}");
        if let Some(path) = regressions::keep(failure) {
            println!("kept in {}", path.display());
        }
    }
    match report.failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
