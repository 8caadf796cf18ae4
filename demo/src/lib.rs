//! `make demo` and `amp demo`: a channel from discovery to refund, on LiteSVM running the real `amp.so`, with
//! a real axum server and the real client over loopback HTTP. Fails where the money does not add up.

mod life;
mod progress;
mod report;
mod stage;

use clap::Args;

/// How large a demo it is.
#[derive(Args)]
pub struct Options {
    /// How many paid calls to make.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    calls: u64,
    /// How many of them are under way at once, in the parallel part.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    parallel: u32,
}

impl Options {
    /// Lives a channel's life and prints what became of the money.
    ///
    /// # Errors
    /// What went wrong on the way, or that the money does not add up.
    pub async fn run(&self, json: bool) -> anyhow::Result<()> {
        let stage = stage::Stage::set().await?;
        let story = life::live(&stage, self.calls, self.parallel).await?;
        let report = report::Report::of(&stage, &story);
        if json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            println!("{report}");
        }
        report.check()
    }
}

/// `RUST_LOG=amp_sdk=debug` shows what client and service do.
pub fn init_tracing() {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
}
