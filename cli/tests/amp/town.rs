//! A service, a chain, and people with keys: what the command is run against.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};

use amp_sdk::chain::{PROGRAM_ID, TOKEN_PROGRAM};
use amp_sdk::protocol::json::PricingMode;
use amp_sdk::protocol::money::Amount;
use amp_sdk::protocol::rate::Rate;
use amp_sdk::protocol::text::network;
use amp_sdk::server::{
    AmpLayer, AmpService, AmpWebSocket, ChargeOn, Message, PaidSocket, ServiceConfig, SqliteStore,
};
use amp_sdk::signer::{KeypairSigner, Signer as _};
use amp_test_node::Node;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get, post};
use serde_json::Value;
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Base units that a call of `/quote` costs, and every other call.
pub(crate) const PRICE: u64 = 250;
/// Bytes of `/film`, which costs a base unit each.
pub(crate) const FILM: usize = 3_000;
/// Seconds between settlements.
pub(crate) const INTERVAL: u32 = 60;
/// Seconds of the close grace.
pub(crate) const GRACE: u32 = 3_600;
/// What the agent has.
pub(crate) const TOKENS: u64 = 100_000_000;

/// The development cluster's USDC.
const USDC: Address = Address::from_str_const("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");

/// Time stands still until a test moves it.
pub(crate) struct Town {
    pub(crate) chain: EmbeddedChain,
    pub(crate) node: Node,
    pub(crate) mint: TestMint,
    pub(crate) origin: String,
    pub(crate) folder: TempDir,
    pub(crate) agent: Address,
    pub(crate) recipient: Address,
    network: &'static str,
    pub(crate) service: AmpService,
    prices: ServiceConfig,
    serving: JoinHandle<()>,
}

/// Ten messages, after the first of the other side, as often as that is asked for.
async fn ticks(State(paid): State<AmpWebSocket>, upgrade: WebSocketUpgrade) -> Response {
    paid.on_upgrade(upgrade, "/ticks", |mut socket: PaidSocket| async move {
        let Some(Message::Text(asked)) = socket.recv().await else { return };
        for tick in 0..10 {
            if socket.send(format!("{asked} {tick}")).await.is_err() {
                return;
            }
        }
    })
}

/// After this answer every call costs twice what it did at first.
async fn rise(State((service, prices)): State<(AmpService, ServiceConfig)>) -> &'static str {
    service.reprice(&prices.default_rate(PricingMode::PerCall, Rate::each(Amount::new(2 * PRICE)))).unwrap();
    "42, for now"
}

/// A line now and then, without end.
async fn tape() -> Body {
    let lines = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, std::convert::Infallible>("tick\n"), ()))
    });
    Body::from_stream(lines)
}

/// Both ends of a new terminal.
pub(crate) fn terminal() -> (File, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (File::from(keyboard), OwnedFd::from(terminal))
}

/// What a run of the command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("it ended by itself");
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// What it printed, where it must have succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }

    /// The same, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It must have failed with this code, and said all of this.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is missing: {self:?}");
        }
        self
    }

    /// It must have succeeded and said all of this.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) -> &Self {
        self.ok();
        for part in parts {
            assert!(self.out.contains(part) || self.err.contains(part), "{part:?} is missing: {self:?}");
        }
        self
    }
}

/// A command with nothing of the person who runs the tests in its surroundings.
pub(crate) fn bare(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amp"));
    let own = ["AMP_", "XDG_", "RUST_LOG", "COLUMNS"];
    for (name, _) in std::env::vars().filter(|(name, _)| own.iter().any(|own| name.starts_with(own))) {
        command.env_remove(name);
    }
    command.env("HOME", home).stdin(Stdio::null());
    command
}

/// Runs it where nothing is set up.
pub(crate) fn offline(home: &Path, arguments: &[&str]) -> Said {
    bare(home).args(arguments).output().unwrap().into()
}

/// Writes a keypair file.
pub(crate) fn write_key(path: &Path, keypair: &Keypair) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, format!("{:?}", keypair.to_bytes()).as_bytes()).unwrap();
}

impl Town {
    pub(crate) async fn found() -> Self {
        Self::on(network::LOCALNET).await
    }

    /// One that looks like the development cluster, and is paid in its USDC.
    pub(crate) async fn on_devnet() -> Self {
        Self::on(network::DEVNET).await
    }

    async fn on(network: &'static str) -> Self {
        let chain = EmbeddedChain::new(ClockMode::Manual).unwrap_or_else(|missing| panic!("{missing}"));
        // nothing is told: what the service knows of the chain, it looks at
        chain.be_polled(true);
        let mut mint = chain.create_mint(&TOKEN_PROGRAM).unwrap();
        let node = Node::start(chain.clone()).await;
        if network == network::DEVNET {
            let account = chain.snapshot(&mint.address).unwrap();
            mint.address = USDC;
            chain.overwrite(&USDC, account).unwrap();
            node.pose_as("EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxkTNXHn");
        }
        let folder = tempfile::tempdir().unwrap();
        let (agent, recipient) = (Keypair::new_from_array([1; 32]), Keypair::new_from_array([2; 32]));
        for (key, tokens) in [(&agent, TOKENS), (&recipient, 0)] {
            chain.airdrop(&key.pubkey(), 1_000_000_000).unwrap();
            chain.mint_to(&mint, &key.pubkey(), Amount::new(tokens)).unwrap();
        }
        let home = folder.path();
        std::fs::create_dir_all(home.join(".config/solana/cli")).unwrap();
        write_key(&home.join("agent.json"), &agent);
        write_key(&home.join("service.json"), &recipient);
        write_key(&home.join("deputy.json"), &Keypair::new_from_array([3; 32]));
        let config = format!(
            "---\njson_rpc_url: {}\nkeypair_path: {}\n",
            node.url(),
            home.join("agent.json").display()
        );
        std::fs::write(home.join(".config/solana/cli/config.yml"), config).unwrap();

        let signer = KeypairSigner::from(recipient.insecure_clone());
        let config = ServiceConfig::new(Arc::new(signer), mint.address, Amount::new(PRICE))
            .metered_route("/film", PricingMode::PerByte, Rate::each(Amount::new(1)))
            .metered_route("/tape", PricingMode::PerByte, Rate::each(Amount::new(1)))
            .route("/free", Amount::ZERO)
            .route_charges_on("/dear", ChargeOn::Always)
            .network(network)
            .program_id(PROGRAM_ID)
            .settle_interval(INTERVAL)
            .min_close_grace(GRACE)
            .channel_max_age(Duration::from_millis(20))
            .watch_interval(Duration::from_secs(600));
        let prices = config.clone();
        let store = SqliteStore::open(home.join("service.db")).unwrap();
        let service = AmpService::start(config, Arc::new(chain.clone()), store).await.unwrap();
        let app = Router::new()
            .route("/quote", get(|| async { "42" }))
            .route("/free", get(|| async { "nothing" }))
            .route("/rising", get(rise).with_state((service.clone(), prices.clone())))
            .route("/film", get(|| async { "f".repeat(FILM) }))
            .route("/tape", get(tape))
            .route("/echo", post(|body: String| async move { format!("you said {body}") }))
            .route("/bytes", get(|| async { vec![0xff, 0x00, 0xfe] }))
            .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "out of order") }))
            .route(
                "/dear",
                get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "out of order, and charged") }),
            )
            .layer(AmpLayer::new(service.clone()))
            .route("/ticks", any(ticks).with_state(AmpWebSocket::new(service.clone())));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let (agent, recipient) = (agent.pubkey(), recipient.pubkey());
        Self { chain, node, mint, origin, folder, agent, recipient, network, service, prices, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Somebody's key, by the name of its file.
    pub(crate) fn key(&self, name: &str) -> KeypairSigner {
        KeypairSigner::from_file(self.file(name)).unwrap()
    }

    pub(crate) fn deputy(&self) -> Address {
        self.key("deputy.json").public_key()
    }

    /// The command, as the agent has it set up: its mint is allowed.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.folder.path());
        match self.network {
            // its address tells of a node on this machine, and nothing else
            network::DEVNET => {
                command.env("AMP_NETWORK", network::DEVNET).env("AMP_PROGRAM_ID", PROGRAM_ID.to_string())
            }
            _ => command.env("AMP_MINT", self.mint.address.to_string()),
        };
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs the command beside the service and the node that it talks to.
    pub(crate) async fn amp(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
    }

    /// Opens the channel and makes `calls` paid calls; its address.
    pub(crate) async fn with_channel(&self, calls: usize) -> Address {
        self.amp(&["open", &self.url("/quote"), "--yes"]).await.ok();
        for _ in 0..calls {
            assert_eq!(self.amp(&["call", &self.url("/quote")]).await.ok(), "42");
        }
        let listed = self.amp(&["list", "--json"]).await.json();
        // of the slot of its opening nothing can be closed
        self.chain.advance_slots(1);
        listed[0]["channel"].as_str().unwrap().parse().unwrap()
    }

    /// Changes what a call costs.
    pub(crate) fn reprice(&self, price: u64) {
        let prices = self.prices.clone().default_rate(PricingMode::PerCall, Rate::each(Amount::new(price)));
        self.service.reprice(&prices).unwrap();
    }

    /// The service is gone for good.
    pub(crate) fn burn_down(&self) {
        self.serving.abort();
    }

    pub(crate) fn tokens(&self, owner: &Address) -> u64 {
        self.chain.tokens(&self.mint.account_of(owner)).get()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
