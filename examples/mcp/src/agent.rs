//! The side that pays.

use amp_sdk::client::Client;
use amp_sdk::protocol::money::Amount;
use anyhow::Context;
use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;

/// Calls the tool so often; returns what it has cost in all.
pub(crate) async fn call(client: &Client, url: &str, calls: u64) -> anyhow::Result<Amount> {
    let session = ().serve(StreamableHttpClientTransport::from_uri(url)).await?;
    let tools = client.mcp(url, session.peer().clone())?;
    let mut spent = None;
    for call in 1..=calls {
        let answer = tools.call_tool(CallToolRequestParams::new("forecast")).await?;
        spent = answer.payment().and_then(|payment| payment.spent);
        let result = answer.into_result().context("a result")?;
        let text = result.content.first().and_then(|content| content.as_text()).context("a text")?;
        if call == 1 {
            eprintln!("  the first answer: {}", text.text);
        }
    }
    // the session stays: closing the channel goes by it
    tokio::spawn(session.waiting());
    spent.context("it was paid for")
}
