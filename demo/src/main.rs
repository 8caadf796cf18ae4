//! `make demo`: a channel from discovery to refund, on LiteSVM running the real `amp.so`, with a real
//! axum server and the real client over loopback HTTP. Exits non-zero where the money does not add up.

mod life;
mod progress;
mod report;
mod stage;

use clap::Parser;

/// The whole life of a payment channel, on an embedded chain.
#[derive(Parser)]
#[command(name = "amp-demo", version)]
struct Arguments {
    /// How many paid calls to make.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    calls: u64,
    /// How many of them are under way at once, in the parallel part.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    parallel: u32,
    /// Print the result as JSON on standard output, for scripts.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // RUST_LOG=amp_sdk=debug shows what client and service do
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let stage = stage::Stage::set().await?;
    let story = life::live(&stage, arguments.calls, arguments.parallel).await?;
    let report = report::Report::of(&stage, &story);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    report.check()
}
