//! A town for tests of MCP: an embedded chain with the real `amp.so`, a mint, a service, and channels for
//! whoever signs. Helpers panic: they are test code.
#![allow(clippy::expect_used, clippy::missing_panics_doc, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_protocol::account::ChannelAccount;
use amp_protocol::instruction::OpenChannel;
use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_protocol::rules::Terms;
use amp_sdk::chain::instructions::{self, OpenParties};
use amp_sdk::chain::{self, ChannelAddress, ComputeBudget, PROGRAM_ID, Plan, PriorityFee, TOKEN_PROGRAM};
use amp_sdk::client::{Client, ClientBuilder};
use amp_sdk::server::{AmpService, Meter, ServiceConfig, SqliteStore};
use amp_sdk::signer::{KeypairSigner, Signer as _};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use solana_address::Address;
use tempfile::TempDir;

/// Base units of a `quote`.
pub const PRICE: u64 = 250;
/// Base units in a channel: a hundred quotes.
pub const DEPOSIT: u64 = 25_000;
/// Seconds between settlements.
pub const INTERVAL: u32 = 3_600;

pub struct Town {
    pub chain: EmbeddedChain,
    pub mint: TestMint,
    pub recipient: KeypairSigner,
    pub service: AmpService,
    pub folder: TempDir,
}

impl Town {
    /// A service that is configured on top of the town's own.
    pub async fn build(configure: impl FnOnce(ServiceConfig) -> ServiceConfig) -> Self {
        let chain = EmbeddedChain::new(ClockMode::Manual).unwrap_or_else(|missing| panic!("{missing}"));
        let mint = chain.create_mint(&TOKEN_PROGRAM).expect("a mint");
        let (recipient, folder) = (KeypairSigner::generate(), tempfile::tempdir().expect("a folder"));
        equip(&chain, &mint, &recipient.public_key(), 0);
        let price = Amount::new(PRICE);
        let config = ServiceConfig::new(Arc::new(recipient.clone()), mint.address, price)
            .tool("free", Amount::ZERO)
            .settle_interval(INTERVAL);
        let store = SqliteStore::open(folder.path().join("service.db")).expect("a store");
        let service = AmpService::start(configure(config), Arc::new(chain.clone()), store).await;
        Self { chain, mint, recipient, service: service.expect("a service"), folder }
    }

    /// Somebody with lamports and tokens.
    pub fn person(&self) -> KeypairSigner {
        let key = KeypairSigner::generate();
        equip(&self.chain, &self.mint, &key.public_key(), 1_000_000);
        key
    }

    /// An agent of `funder`'s.
    pub fn agent(&self, funder: &KeypairSigner) -> ClientBuilder {
        let store = self.folder.path().join(format!("{}.db", funder.public_key()));
        Client::builder()
            .funder(funder.clone())
            .chain(Arc::new(self.chain.clone()))
            .allow_mint(self.mint.address)
            .deposit(Amount::new(DEPOSIT))
            .store(store)
    }

    /// Opens a channel to the service, for this key to sign.
    pub async fn open_channel(&self, authorized_signer: Address) -> (Address, ChannelAccount) {
        let funder = self.person();
        let (key, recipient) = (funder.public_key(), self.recipient.public_key());
        let funder_token = self.mint.account_of(&key);
        let parties =
            OpenParties { funder: key, rent_payer: key, recipient, authorized_signer, funder_token };
        let terms = Terms {
            unit_price: 1,
            rate_limit: DEPOSIT,
            settle_interval: INTERVAL,
            close_grace: 3_600,
            max_chain_depth: 0,
        };
        let args = OpenChannel { nonce: 0, deposit: Amount::new(DEPOSIT), terms };
        let (mint, token_program) = (&self.mint.address, &self.mint.token_program);
        let open = instructions::open_channel(&PROGRAM_ID, &parties, mint, token_program, &args);
        let at = ChannelAddress::derive(&PROGRAM_ID, &key, &recipient, 0);
        let plan = Plan::new(key, ComputeBudget::open(&at), PriorityFee::default(), vec![open]);
        plan.send(&self.chain, &[&funder]).await.expect("the channel opens");
        self.chain.advance_slots(1);
        let account = chain::channel(&self.chain, &PROGRAM_ID, &at.channel).await.expect("a chain");
        (at.channel, account.expect("a channel"))
    }

    /// Settles everything; what the recipient has then.
    pub async fn earned(&self) -> u64 {
        self.chain.advance_seconds(INTERVAL);
        for (channel, settled) in self.service.settle_all().await {
            settled.unwrap_or_else(|denial| panic!("{channel}: {denial}"));
        }
        self.tokens()
    }

    /// What the recipient has.
    pub fn tokens(&self) -> u64 {
        self.chain.tokens(&self.mint.account_of(&self.recipient.public_key())).get()
    }
}

/// Three base units for a unit of work, one for ten bytes, five for a second.
pub fn metered(config: ServiceConfig) -> ServiceConfig {
    let tenth = Rate { amount: Amount::new(1), per: Per::new(10).unwrap_or(Per::ONE) };
    config
        .metered_tool("work", PricingMode::PerCompute, Rate::each(Amount::new(3)))
        .metered_tool("text", PricingMode::PerByte, tenth)
        .metered_tool("nap", PricingMode::PerSecond, Rate::each(Amount::new(5)))
        .stream_wait(Duration::from_secs(60))
}

fn equip(chain: &EmbeddedChain, mint: &TestMint, key: &Address, tokens: u64) {
    chain.airdrop(key, 1_000_000_000).expect("lamports");
    chain.mint_to(mint, key, Amount::new(tokens)).expect("tokens");
}

/// `quote` answers 42, `fail` says that it failed, `free` is free, `wait` never answers. As their argument `n` says,
/// `work` reports units, `text` has bytes, and `nap` takes milliseconds.
#[derive(Clone, Default)]
pub struct Shop {
    /// Units that were reported by all calls.
    pub worked: Arc<AtomicU64>,
}

impl ServerHandler for Shop {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema: JsonObject = serde_json::from_str(r#"{"type": "object"}"#).unwrap_or_default();
        let tool = |name| Tool::new(name, name, Arc::new(schema.clone()));
        Ok(ListToolsResult::with_all_items(
            ["quote", "fail", "free", "wait", "work", "text", "nap"].map(tool).to_vec(),
        ))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = |text: &str| vec![ContentBlock::text(text)];
        let n = request.arguments.as_ref().and_then(|arguments| arguments.get("n")?.as_u64()).unwrap_or(0);
        match &*request.name {
            "work" => {
                let meter = context.extensions.get::<Meter>().expect("it is metered").clone();
                for _ in 0..n {
                    meter.spend(1).await?;
                    self.worked.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok(CallToolResult::success(text("done")).into())
            }
            "text" => {
                let letters = "x".repeat(usize::try_from(n).unwrap_or_default());
                Ok(CallToolResult::success(text(&letters)).into())
            }
            "nap" => {
                tokio::time::sleep(Duration::from_millis(n)).await;
                Ok(CallToolResult::success(text("rested")).into())
            }
            "fail" => Ok(CallToolResult::error(text("failed")).into()),
            "wait" => std::future::pending().await,
            _ => Ok(CallToolResult::success(text("42")).into()),
        }
    }
}
