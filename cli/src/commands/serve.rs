use std::io::IsTerminal as _;
use std::path::PathBuf;

use amp_gateway::{Ended, Gateway, Overrides, Settings, stop_signal};
use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::cluster;
use crate::settings::Common;

/// Puts AMP in front of an HTTP API, which does not change: `amp serve --upstream http://127.0.0.1:8000 --price 0.001`.
/// What is said here goes before the file. SIGHUP, and a change of the file, bring new prices; SIGTERM finishes what is
/// under way and settles.
#[derive(Args)]
pub(crate) struct Serve {
    /// A configuration file (docs/gateway.md).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the API is.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// What a call costs, in tokens; 0 is free.
    #[arg(long, value_name = "TOKENS")]
    price: Option<String>,
    /// Where clients connect. Default: 127.0.0.1:8402.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the operator's tools connect: metrics, health, the operator's page. Default: 127.0.0.1:9402.
    #[arg(long, value_name = "ADDRESS")]
    operations: Option<String>,
    /// A file with the token that the operator's page asks for. Without one it is made up, and printed.
    #[arg(long, value_name = "FILE")]
    operator_token_file: Option<PathBuf>,
    /// The keypair file of the service, which is paid and pays fees. Default: `--keypair`.
    #[arg(long, env = "AMP_SERVICE_KEYPAIR", value_name = "FILE")]
    service_keypair: Option<PathBuf>,
    /// The token that is taken: a mint's address, or USDC.
    #[arg(long, env = "AMP_MINT", value_name = "ADDRESS")]
    mint: Option<String>,
    /// Seconds between settlements. Default: 3600.
    #[arg(long, value_name = "SECONDS")]
    settle_interval: Option<u32>,
    /// Charge nothing, and log what would be charged. Needs no key and no chain.
    #[arg(long)]
    dry: bool,
}

impl Serve {
    pub(crate) async fn run(self, common: Common) -> anyhow::Result<()> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        log.with_ansi(std::io::stderr().is_terminal()).init();
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let config = self.config;
        let overrides = Overrides {
            upstream: self.upstream,
            listen: self.listen,
            operations: self.operations,
            price: self.price,
            keypair: self.service_keypair.or(common.keypair).map(path),
            mint: self.mint,
            rpc: common.rpc.map(|text| cluster::rpc_url(&text)),
            network: common.network,
            program: common.program_id.map(|id| id.to_string()),
            store: common.store.map(path),
            settle_interval: self.settle_interval,
            operator_token_file: self.operator_token_file.map(path),
            dry: self.dry,
        };
        let stop = stop_signal();
        let gateway = Gateway::start(Settings::load(config.as_deref(), overrides)?).await?;
        eprintln!("serving http://{}, {}", gateway.address(), gateway.default_price());
        match gateway.operator_url() {
            Some(url) => eprintln!("the operator's page: {url}"),
            None => eprintln!("nothing is charged: what would be is logged"),
        }
        let would_charge = gateway.would_charge();
        let Ended { settled, channels, left } = gateway.run(stop).await?;
        match would_charge {
            Some(would) => {
                eprintln!("would have charged {} base units for {} answers", would.amount(), would.answers())
            }
            None => eprintln!("settled {settled} base units of {channels} channels; {} are left", left.len()),
        }
        Ok(())
    }
}
