//! A chain, an API, the gateway in front of it, and an agent.

use std::path::PathBuf;
use std::sync::Arc;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_gateway::{Ended, Gateway, Overrides, Settings};
use amp_protocol::money::Amount;
use amp_sdk::chain::{PROGRAM_ID, TOKEN_PROGRAM, instructions};
use amp_sdk::client::{Client, Response};
use amp_sdk::server::AmpService;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer as _;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::api::Api;

/// Base units of a call where nothing else is said.
pub(crate) const PRICE: u64 = 1_000;
pub(crate) const INTERVAL: u32 = 3_600;

/// Prices of every test; more may follow.
const PRICES: &str = r#"
[prices]
price = "0.001"

[[route]]
path = "/free"
price = "0"

[[route]]
path = "/bytes"
price = "0.000003"
mode = "per-byte"
per = 1000

[[route]]
path = "/units"
price = "0.000007"
mode = "per-compute"
"#;

pub(crate) struct Stage {
    pub(crate) chain: EmbeddedChain,
    pub(crate) mint: TestMint,
    pub(crate) recipient: Address,
    pub(crate) agent: KeypairSigner,
    agent_key: Keypair,
    pub(crate) client: Client,
    pub(crate) api: Api,
    pub(crate) service: Option<AmpService>,
    pub(crate) origin: String,
    pub(crate) operations: String,
    pub(crate) token: String,
    /// The operator's page, as it is printed.
    pub(crate) page: String,
    pub(crate) file: PathBuf,
    pub(crate) http: reqwest::Client,
    folder: TempDir,
    run: Option<(oneshot::Sender<()>, JoinHandle<Ended>)>,
    pub(crate) would_charge: Option<Arc<amp_gateway::WouldCharge>>,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::with("", false).await
    }

    /// With more in the file, and perhaps dry.
    pub(crate) async fn with(more: &str, dry: bool) -> Self {
        let chain = EmbeddedChain::new(ClockMode::Manual).unwrap_or_else(|missing| panic!("{missing}"));
        let mint = chain.create_mint(&TOKEN_PROGRAM).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = Keypair::new();
        let recipient = key.pubkey();
        let bytes = serde_json::to_string(&key.to_bytes().to_vec()).unwrap();
        std::fs::write(folder.path().join("service.json"), bytes).unwrap();
        let agent_key = Keypair::new();
        let agent = KeypairSigner::from(agent_key.insecure_clone());
        for (who, tokens) in [(agent.public_key(), 1_000_000_000), (recipient, 0)] {
            chain.airdrop(&who, 1_000_000_000).unwrap();
            chain.mint_to(&mint, &who, Amount::new(tokens)).unwrap();
        }
        let api = Api::start().await;
        let head = format!(
            "listen = \"127.0.0.1:0\"\noperations = \"127.0.0.1:0\"\ndry = {dry}\n[upstream]\nurl = \"http://{}\"\nanswer_timeout = 1\n[service]\nkeypair = \"service.json\"\nmint = \"{}\"\n[settlement]\ninterval = {INTERVAL}\ndrain = 2\n",
            api.address, mint.address
        );
        let file = folder.path().join("amp.toml");
        std::fs::write(&file, format!("{head}{PRICES}{more}")).unwrap();
        let client = Client::builder()
            .funder(agent.clone())
            .chain(Arc::new(chain.clone()))
            .allow_mint(mint.address)
            .deposit(Amount::new(100 * PRICE))
            .store(folder.path().join("agent.db"))
            .build()
            .await
            .unwrap();
        let mut stage = Self {
            chain,
            mint,
            recipient,
            agent,
            agent_key,
            client,
            api,
            service: None,
            origin: String::new(),
            operations: String::new(),
            token: String::new(),
            page: String::new(),
            file,
            http: reqwest::Client::new(),
            folder,
            run: None,
            would_charge: None,
        };
        stage.start().await;
        stage
    }

    async fn start(&mut self) {
        let settings = Settings::load(Some(&self.file), Overrides::default()).unwrap();
        let mut tries = 0;
        let gateway = loop {
            match Gateway::start_on(settings.clone(), Arc::new(self.chain.clone())).await {
                Ok(gateway) => break gateway,
                // the one before it ends with its last commit, on its own thread
                Err(error) if tries == 100 => panic!("{error}"),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
            tries += 1;
        };
        self.service = gateway.service().cloned();
        self.would_charge = gateway.would_charge();
        self.token = gateway.operator_token().unwrap_or_default().to_owned();
        self.page = gateway.operator_url().unwrap_or_default();
        self.origin = format!("http://{}", gateway.address());
        self.operations = format!("http://{}", gateway.operations_address());
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(async move {
            let until = async { drop(stopped.await) };
            gateway.run(until).await.unwrap()
        });
        self.run = Some((stop, run));
    }

    /// Another process, with the same files.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.run.is_none(), "it runs");
        // the engine that has the store open
        self.service = None;
        self.start().await;
    }

    /// Ends the gateway as SIGTERM does.
    pub(crate) async fn stop(&mut self) -> Ended {
        let (stop, run) = self.run.take().expect("it runs");
        stop.send(()).expect("it runs");
        run.await.unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The agent asks for the close of its channel, on chain, as if the service were gone.
    pub(crate) async fn request_close(&self) {
        let channel = self.client.channels().await.unwrap()[0].channel;
        let request = instructions::request_close(&PROGRAM_ID, &channel, &self.agent.public_key());
        self.chain.execute(&[request], &[&self.agent_key]).unwrap();
    }

    /// Pays for a request.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(&self.url(path)).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn service(&self) -> &AmpService {
        self.service.as_ref().expect("it charges")
    }

    /// What was charged so far, as the client is told with proof.
    pub(crate) async fn spent(&self) -> u64 {
        self.client.status(&self.origin).await.unwrap().spent.get()
    }

    /// What the recipient has been paid on chain.
    pub(crate) fn earned(&self) -> u64 {
        self.chain.tokens(&self.mint.account_of(&self.recipient)).get()
    }

    /// Changes the file.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        std::fs::write(&self.file, change(text)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Waits for what another task does.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if check().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("never happened: {what}");
}
