//! `make demo`: see the library.

use clap::Parser;

/// The whole life of a payment channel, on an embedded chain.
#[derive(Parser)]
#[command(name = "amp-demo", version)]
struct Arguments {
    #[command(flatten)]
    demo: amp_demo::Options,
    /// Print the result as JSON on standard output, for scripts.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { demo, json } = Arguments::parse();
    amp_demo::init_tracing();
    demo.run(json).await
}
