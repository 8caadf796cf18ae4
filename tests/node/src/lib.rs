//! The embedded chain behind JSON-RPC: for tests in which the chain must outlive a process that uses
//! it. The other process runs the SDK's own [`RpcChain`](amp_sdk::chain::RpcChain), as it does on a cluster.
//!
//! Only what `RpcChain` asks for is answered. Every transaction that is executed is confirmed at once, and
//! there is no history: `getTransaction` finds nothing, as on a node that keeps none, unless
//! [`Node::keep_history`] was called. One port above, where
//! Solana's tools look for it, changes of accounts can be subscribed to over WebSocket.
#![allow(clippy::expect_used, clippy::missing_panics_doc)]

mod accounts;
mod transactions;
mod websocket;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amp_embedded::EmbeddedChain;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use solana_signature::Signature;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The first block's hash, which is that of no cluster.
const GENESIS_HASH: &str = "EmbeddedChain1111111111111111111111111111111";

/// A node on a loopback port, until it is dropped.
pub struct Node {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: [JoinHandle<()>; 2],
}

struct Shared {
    chain: EmbeddedChain,
    away: watch::Sender<bool>,
    requests: AtomicU64,
    /// Transactions that are still to be lost.
    losing: AtomicU64,
    /// The blockhashes of those that were.
    expired: Mutex<HashSet<String>>,
    /// Subscriptions to a program's accounts that were ever begun.
    subscribed: AtomicU64,
    /// How often the subscriptions were forgotten.
    generation: AtomicU64,
    /// What was executed through it, if that is kept.
    history: Mutex<Option<HashMap<Signature, Value>>>,
    genesis_hash: Mutex<String>,
    /// Nobody is told the time once more transactions than this were executed.
    timeless_after: AtomicUsize,
}

/// A request that can't be answered, with the code that nodes have for it.
struct Refusal {
    code: i64,
    message: String,
    data: Option<Value>,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self { code: -32602, message: message.into(), data: None }
    }
}

impl Node {
    /// Serves a chain, which its owner may go on using.
    pub async fn start(chain: EmbeddedChain) -> Self {
        let (listener, above) = two_ports().await;
        Self::serve(chain, listener, above)
    }

    /// Serves a chain at a port of loopback, and changes one port above.
    pub async fn start_at(chain: EmbeddedChain, port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let above = TcpListener::bind(("127.0.0.1", port.saturating_add(1))).await?;
        Ok(Self::serve(chain, listener, above))
    }

    fn serve(chain: EmbeddedChain, listener: TcpListener, above: TcpListener) -> Self {
        let away = watch::Sender::new(false);
        let (requests, losing, expired, subscribed, generation, history) = Default::default();
        let genesis_hash = Mutex::new(GENESIS_HASH.to_owned());
        let timeless_after = AtomicUsize::new(usize::MAX);
        let shared = Shared {
            chain,
            away,
            requests,
            losing,
            expired,
            subscribed,
            generation,
            history,
            genesis_hash,
            timeless_after,
        };
        let shared = Arc::new(shared);
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/", post(answer)).with_state(shared.clone());
        let requests = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        let subscriptions = tokio::spawn(websocket::serve(above, shared.clone()));
        Self { shared, address, serving: [requests, subscriptions] }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where changes can be subscribed to: one port above.
    pub fn websocket_url(&self) -> String {
        format!("ws://{}:{}", self.address.ip(), self.address.port().saturating_add(1))
    }

    /// Answers nothing from now on, or everything again: an outage. It cuts the subscriptions.
    pub fn be_away(&self, away: bool) {
        self.shared.away.send_replace(away);
    }

    /// Tells nothing more to whoever has subscribed, and does not say so: their connections stay.
    pub fn forget_subscriptions(&self) {
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Subscriptions to a program's accounts so far, those that have ended included.
    pub fn subscriptions(&self) -> u64 {
        self.shared.subscribed.load(Ordering::SeqCst)
    }

    /// The next transactions are taken and never land, and their blockhashes expire at once.
    pub fn lose(&self, transactions: u64) {
        self.shared.losing.store(transactions, Ordering::SeqCst);
    }

    /// Remembers the transactions that are sent through it from now on.
    pub fn keep_history(&self) {
        let mut history = self.shared.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.get_or_insert_default();
    }

    /// Says that it is of the cluster whose first block has this hash.
    pub fn pose_as(&self, genesis_hash: &str) {
        genesis_hash.clone_into(&mut self.shared.genesis_hash.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Refuses to tell the time once the next transaction is executed, and answers everything else.
    pub fn tell_no_time_after_the_next(&self) {
        self.shared.timeless_after.store(self.shared.chain.executed().len(), Ordering::SeqCst);
    }

    /// Requests so far, those it did not answer included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for serving in &self.serving {
            serving.abort();
        }
    }
}

/// A free port and the one above it.
async fn two_ports() -> (TcpListener, TcpListener) {
    for _ in 0..100 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        if let Some(above) = port.checked_add(1)
            && let Ok(above) = TcpListener::bind(("127.0.0.1", above)).await
        {
            return (listener, above);
        }
    }
    panic!("no two free ports");
}

async fn answer(
    State(node): State<Arc<Shared>>,
    Json(request): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    node.requests.fetch_add(1, Ordering::SeqCst);
    if *node.away.borrow() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let method = request["method"].as_str().unwrap_or_default();
    let id = &request["id"];
    Ok(Json(match node.call(method, &request["params"]) {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(Refusal { code, message, data }) => {
            let error = json!({"code": code, "message": message, "data": data});
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        }
    }))
}

impl Shared {
    fn call(&self, method: &str, params: &Value) -> Result<Value, Refusal> {
        match method {
            "getAccountInfo" => self.account_info(params),
            "getMultipleAccounts" => self.multiple_accounts(params),
            "getProgramAccounts" => self.program_accounts(params),
            "getLatestBlockhash" => Ok(self.latest_blockhash()),
            "getRecentPrioritizationFees" => Ok(self.recent_prioritization_fees()),
            "isBlockhashValid" => Ok(self.is_blockhash_valid(params)),
            "sendTransaction" => self.send_transaction(params),
            "getSignatureStatuses" => Ok(self.signature_statuses(params)),
            "getTransaction" => Ok(self.past_transaction(params)),
            "getGenesisHash" => Ok(json!(*self.genesis_hash.lock().unwrap_or_else(PoisonError::into_inner))),
            _ => Err(Refusal { code: -32601, message: format!("no method {method}"), data: None }),
        }
    }

    /// A value and the slot it is of.
    fn at_now(&self, value: Value) -> Value {
        json!({"context": {"slot": self.chain.clock_now().slot}, "value": value})
    }
}
