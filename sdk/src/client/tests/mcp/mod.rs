//! The client against tools that are paid for, over a pipe.

mod paying;
mod sessions;
mod tools;

use amp_protocol::money::Amount;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService, ServiceExt as _};

use super::{FakeService, PRICE, World};
use crate::client::mcp::{PaidPeer, ToolAnswer};
use crate::client::{Client, ClientError};
use tools::FakeTools;

const NAME: &str = "mcp://weather";

/// A session, which ends when this is dropped.
struct Session {
    tools: PaidPeer,
    running: RunningService<RoleClient, ()>,
}

impl Session {
    async fn begin(client: &Client, name: &str, server: impl rmcp::ServerHandler) -> Self {
        let (theirs, ours) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
        let running = ().serve(ours).await.unwrap();
        let tools = client.mcp(name, running.peer().clone()).unwrap();
        Self { tools, running }
    }

    async fn with(client: &Client, service: &FakeService) -> Self {
        Self::begin(client, NAME, FakeTools(service.clone())).await
    }

    async fn call(&self, tool: &'static str) -> Result<ToolAnswer, ClientError> {
        self.tools.call_tool(CallToolRequestParams::new(tool)).await
    }

    /// Pays once and returns the seq.
    async fn seq(&self) -> u64 {
        self.call("paid").await.unwrap().payment().unwrap().seq.get()
    }

    async fn end(self) {
        self.running.cancel().await.unwrap();
    }
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}
