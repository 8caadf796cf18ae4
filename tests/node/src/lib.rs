//! The embedded chain behind JSON-RPC: for tests in which the chain must outlive a process that uses
//! it. The other process runs the SDK's own [`RpcChain`](amp_sdk::chain::RpcChain), as it does on a cluster.
//!
//! Only what `RpcChain` asks for is answered. Every transaction that is executed is confirmed at once, and
//! there is no history: `getTransaction` finds nothing, as on a node that keeps none.
#![allow(clippy::expect_used, clippy::missing_panics_doc)]

mod accounts;
mod transactions;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use amp_embedded::EmbeddedChain;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A node on a loopback port, until it is dropped.
pub struct Node {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

struct Shared {
    chain: EmbeddedChain,
    away: AtomicBool,
    requests: AtomicU64,
    /// Transactions that are still to be lost.
    losing: AtomicU64,
    /// The blockhashes of those that were.
    expired: Mutex<HashSet<String>>,
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
        let (away, requests, losing, expired) = Default::default();
        let shared = Arc::new(Shared { chain, away, requests, losing, expired });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/", post(answer)).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { shared, address, serving }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers nothing from now on, or everything again: an outage.
    pub fn be_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::SeqCst);
    }

    /// The next transactions are taken and never land, and their blockhashes expire at once.
    pub fn lose(&self, transactions: u64) {
        self.shared.losing.store(transactions, Ordering::SeqCst);
    }

    /// Requests so far, those it did not answer included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(node): State<Arc<Shared>>,
    Json(request): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    node.requests.fetch_add(1, Ordering::SeqCst);
    if node.away.load(Ordering::SeqCst) {
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
            "getTransaction" => Ok(Value::Null),
            _ => Err(Refusal { code: -32601, message: format!("no method {method}"), data: None }),
        }
    }

    /// A value and the slot it is of.
    fn at_now(&self, value: Value) -> Value {
        json!({"context": {"slot": self.chain.clock_now().slot}, "value": value})
    }
}
