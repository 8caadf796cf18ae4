//! A node that fails when it is told to: a proxy in front of a real one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amp_sdk::chain::RpcChain;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, routing::post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_transaction::versioned::VersionedTransaction;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::relay::Relay;

/// Longer than the SDK waits for an answer about a transaction.
const HANG: Duration = Duration::from_secs(12);

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// It is not handed on; after a long while the connection ends without an answer.
    Hang,
    /// It is refused with 429, to be repeated after a second.
    TooMany,
    /// It is done, and its answer is lost.
    LoseAnswer,
    /// Of a transaction: it is said to be taken, and never lands, however often it is sent.
    Swallow,
}

/// The next requests with this method fail in this way.
struct Rule {
    method: &'static str,
    fault: Fault,
    left: u32,
}

#[derive(Default)]
struct Faults {
    rules: Vec<Rule>,
    applied: HashMap<Fault, u32>,
    /// Transactions that never land.
    swallowed: HashSet<String>,
    /// What reads were answered with last.
    answers: HashMap<String, Value>,
    /// The node lags: reads are answered as they last were.
    is_stale: bool,
}

/// See the module.
pub(crate) struct FaultyNode {
    url: String,
    relay: Option<Relay>,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    faults: Mutex<Faults>,
}

impl FaultyNode {
    pub(super) async fn before(url: &str, websocket: Option<&str>) -> anyhow::Result<Self> {
        let relay = match websocket {
            Some(websocket) => Some(Relay::before(websocket).await?),
            None => None,
        };
        let shared =
            Shared { upstream: url.to_owned(), http: reqwest::Client::new(), faults: Mutex::default() };
        let shared = Arc::new(shared);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().route("/", post(answer)).with_state(shared.clone());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, relay, shared, serving })
    }

    /// A chain over this node.
    pub(crate) fn chain(&self) -> Arc<RpcChain> {
        Arc::new(match &self.relay {
            Some(relay) => RpcChain::with_websocket(self.url.clone(), relay.url.clone()),
            None => RpcChain::new(self.url.clone()),
        })
    }

    /// The next `times` requests with this method fail so; `"*"`: with any.
    pub(crate) fn fail(&self, method: &'static str, fault: Fault, times: u32) {
        self.shared.faults().rules.push(Rule { method, fault, left: times });
    }

    /// How often something went wrong so.
    pub(crate) fn applied(&self, fault: Fault) -> u32 {
        self.shared.faults().applied.get(&fault).copied().unwrap_or_default()
    }

    /// Shows the chain as it was when it was last asked, from now on; or as it is again.
    pub(crate) fn be_stale(&self, stale: bool) {
        self.shared.faults().is_stale = stale;
    }

    /// Cuts subscriptions, and takes no new ones; or takes them again. Before a cluster whose WebSocket is not known
    /// there are none to cut.
    pub(crate) fn cut_subscriptions(&self, cut: bool) {
        if let Some(relay) = &self.relay {
            relay.cut(cut);
        }
    }
}

impl Drop for FaultyNode {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, request: &Value) -> Option<Value> {
        let answer = self.http.post(&self.upstream).json(request).send().await.ok()?;
        answer.json().await.ok()
    }
}

impl Faults {
    /// What goes wrong with this request.
    fn next(&mut self, method: &str, transaction: Option<&str>) -> Option<Fault> {
        if transaction.is_some_and(|bytes| self.swallowed.contains(bytes)) {
            return Some(Fault::Swallow);
        }
        let fits = |rule: &&mut Rule| rule.left > 0 && (rule.method == "*" || rule.method == method);
        let rule = self.rules.iter_mut().find(fits)?;
        rule.left = rule.left.saturating_sub(1);
        let fault = rule.fault;
        let applied = self.applied.entry(fault).or_default();
        *applied = applied.saturating_add(1);
        if fault == Fault::Swallow {
            self.swallowed.extend(transaction.map(str::to_owned));
        }
        Some(fault)
    }
}

/// Reads that a lagging node answers with what it knows.
fn is_read(method: &str) -> bool {
    matches!(method, "getAccountInfo" | "getMultipleAccounts" | "getProgramAccounts" | "getSlot")
}

async fn answer(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Response {
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let transaction =
        (method == "sendTransaction").then(|| request["params"][0].as_str().unwrap_or_default().to_owned());
    let fault = shared.faults().next(&method, transaction.as_deref());
    match fault {
        Some(Fault::Hang) => {
            tokio::time::sleep(HANG).await;
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        Some(Fault::TooMany) => {
            let later = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("1"))]);
            return (StatusCode::TOO_MANY_REQUESTS, later).into_response();
        }
        Some(Fault::LoseAnswer) => {
            shared.ask(&request).await;
            return StatusCode::BAD_GATEWAY.into_response();
        }
        Some(Fault::Swallow) => {
            let signature = transaction.as_deref().and_then(signature);
            return Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": signature})).into_response();
        }
        None => {}
    }
    let asked = format!("{method} {}", request["params"]);
    if is_read(&method) {
        let faults = shared.faults();
        if faults.is_stale
            && let Some(before) = faults.answers.get(&asked)
        {
            let mut before = before.clone();
            before["id"] = request["id"].clone();
            return Json(before).into_response();
        }
    }
    match shared.ask(&request).await {
        Some(answer) => {
            if is_read(&method) && !shared.faults().is_stale {
                shared.faults().answers.insert(asked, answer.clone());
            }
            Json(answer).into_response()
        }
        None => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// A transaction's first signature.
fn signature(encoded: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    let transaction: VersionedTransaction = wincode::deserialize(&bytes).ok()?;
    transaction.signatures.first().map(ToString::to_string)
}
