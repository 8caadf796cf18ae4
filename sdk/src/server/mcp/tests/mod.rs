//! A paid MCP server as a client sees it: JSON lines over a pipe, written and read by hand.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

mod calls;
mod codes;
mod conformance;
mod fields;
mod layer;
mod metered;
mod operations;
mod recorded;

use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::CredentialBody;
use amp_protocol::money::Amount;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
    ErrorCode, InputRequiredResult, ListToolsResult, PaginatedRequestParams,
};
use rmcp::service::{RequestContext, RoleServer, ServiceExt as _};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::sync::Notify;

use super::{PaidTools, wire};
use crate::server::testing::{Bench, CHANNEL};
use crate::server::{AmpService, Meter, Payment, ServiceConfig};

/// `quote` costs 10 and says who pays; `fail` costs 10 and says that it failed, `crash` does not answer with
/// a result at all; `ask` wants to know more; `slow` waits; `free` is free. `work` reports units, `text` has bytes,
/// `nap` takes its time: as many as its argument `n` says.
#[derive(Clone, Default)]
struct Shop {
    gate: Arc<Notify>,
}

impl ServerHandler for Shop {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = |text: String| vec![ContentBlock::text(text)];
        let n = request.arguments.as_ref().and_then(|arguments| arguments.get("n")?.as_u64()).unwrap_or(0);
        match &*request.name {
            "work" | "work in vain" => {
                let meter = context.extensions.get::<Meter>().expect("it is metered").clone();
                for _ in 0..n {
                    meter.spend(1).await?;
                }
                let said = text(format!("{n} units"));
                Ok(match &*request.name {
                    "work" => CallToolResult::success(said),
                    _ => CallToolResult::error(said),
                }
                .into())
            }
            "text" => Ok(CallToolResult::success(text("x".repeat(n as usize))).into()),
            "bad text" => Ok(CallToolResult::error(text("x".repeat(n as usize))).into()),
            "nap" => {
                tokio::time::sleep(Duration::from_millis(n)).await;
                Ok(CallToolResult::success(text("rested".into())).into())
            }
            "quote" => {
                let payment = *context.extensions.get::<Payment>().expect("it is paid");
                let shown = context.meta.0.0.keys().cloned().collect::<Vec<_>>().join(" ");
                let said = format!("{} {} {}{shown}", payment.channel, payment.seq, payment.price);
                Ok(CallToolResult::success(text(said)).into())
            }
            "fail" => Ok(CallToolResult::error(text("failed".into())).into()),
            "crash" => Err(ErrorData::internal_error("crashed", None)),
            "details" => Err(ErrorData::internal_error("crashed", Some(json!({"why": "so"})))),
            "ask" => Ok(InputRequiredResult::from_request_state("more").into()),
            "slow" => {
                self.gate.notified().await;
                Ok(CallToolResult::success(text("slow".into())).into())
            }
            "free" => {
                assert!(context.extensions.get::<Payment>().is_none());
                Ok(CallToolResult::success(text("free".into())).into())
            }
            _ => Err(ErrorData::invalid_params("no such tool", None)),
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![]))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        match &*request.method {
            "own/method" => Ok(CustomResult(json!({"own": true}))),
            _ => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None)),
        }
    }
}

/// A client that knows JSON and nothing else.
struct Raw {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    write: WriteHalf<DuplexStream>,
    id: u64,
}

impl Raw {
    /// Connects to a server behind a pipe, and shakes hands.
    async fn connect(server: impl ServerHandler) -> Self {
        let (theirs, ours) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(theirs);
        tokio::spawn(async move {
            let running = server.serve(wire(read, write)).await.unwrap();
            running.waiting().await.unwrap();
        });
        let (read, write) = tokio::io::split(ours);
        let mut raw = Self { lines: BufReader::new(read).lines(), write, id: 0 };
        let version = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}});
        raw.request("initialize", version).await;
        raw.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        raw
    }

    async fn send(&mut self, message: Value) {
        self.write.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.id += 1;
        let id = self.id;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    async fn next(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("an answer");
        serde_json::from_str(&line).unwrap()
    }

    /// The whole answer to a request.
    async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Calls a tool with a credential in `_meta.amp`.
    async fn call(&mut self, tool: &str, credential: &CredentialBody) -> Value {
        let params = json!({"name": tool, "arguments": {}, "_meta": {"amp": credential}});
        self.request("tools/call", params).await
    }
}

/// Balance, spent, cost and seq of a result's receipt, which is in both places.
fn paid(answer: &Value) -> [&str; 4] {
    let receipt = &answer["result"]["_amp"];
    assert_eq!(*receipt, answer["result"]["_meta"]["amp"], "{answer}");
    ["balance", "spent", "cost", "seq"].map(|name| receipt[name].as_str().unwrap_or("none"))
}

/// The message of an error, and the code in its data.
fn refused(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    assert_eq!(error["message"], error["data"]["error"], "{answer}");
    (error["code"].as_i64().unwrap_or_default(), error["message"].as_str().unwrap_or("none"))
}

/// A bench, its service, and a client at the other end of the pipe.
struct Stage {
    bench: Bench,
    service: AmpService,
    shop: Shop,
    raw: Raw,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|config| config).await
    }

    async fn with(change: impl FnOnce(ServiceConfig) -> ServiceConfig) -> Self {
        let bench = Bench::new();
        let service = bench.service_with(change(bench.config().tool("free", Amount::ZERO))).await;
        let shop = Shop::default();
        let raw = Raw::connect(PaidTools::new(service.clone(), shop.clone())).await;
        Self { bench, service, shop, raw }
    }

    async fn call(&mut self, tool: &str, seq: u64) -> Value {
        let credential = self.bench.credential(seq).await;
        self.raw.call(tool, &credential).await
    }

    async fn spent(&self) -> u64 {
        self.service.channel_status(&self.bench.credential(0).await).await.unwrap().spent.get()
    }
}
