//! An MCP server over its standard pipes, on a chain of its own, for clients that are no Rust.
//!
//! usage: amp-mcp-shop <key> <file>
//!
//! Opens a channel that `key` (base58) signs for, and writes where it is to `file`: `{channel, epoch,
//! price}`. When its client has hung up it settles, and writes `{earned}` there.

use std::path::PathBuf;

use amp_mcp_tests::{PRICE, Shop, Town, metered};
use amp_sdk::server::mcp::{PaidTools, stdio};
use rmcp::ServiceExt as _;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (key, file) = (arguments.next().ok_or("a key")?, arguments.next().ok_or("a file")?);
    let (key, file) = (key.parse()?, PathBuf::from(file));
    let town = Town::build(metered).await;
    let (channel, account) = town.open_channel(key).await;
    let place =
        json!({"channel": channel.to_string(), "epoch": account.opened_slot.to_string(), "price": PRICE});
    write(&file, &place)?;
    PaidTools::new(town.service.clone(), Shop::default()).serve(stdio()).await?.waiting().await?;
    write(&file, &json!({"earned": town.earned().await}))
}

/// All of it or nothing: the other side looks at any time.
fn write(file: &PathBuf, value: &Value) -> Result<(), Box<dyn std::error::Error>> {
    let begun = file.with_extension("begun");
    std::fs::write(&begun, value.to_string())?;
    Ok(std::fs::rename(begun, file)?)
}
