//! Listens to prices for a while, and pays for the seconds that it does.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use amp_sdk::chain::Chain;
use amp_sdk::client::{Client, Message, SocketReceipt};
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::KeypairSigner;
use solana_address::Address;
use tokio::time::sleep;

/// Listens for `time` and returns what that has cost, and how many prices came.
pub(crate) async fn listen(
    key: KeypairSigner,
    mint: Address,
    chain: Arc<dyn Chain>,
    folder: &Path,
    url: &str,
    time: Duration,
) -> anyhow::Result<(SocketReceipt, u32)> {
    let client = Client::builder()
        .funder(key)
        .chain(chain)
        .allow_mint(mint)
        // what one socket may cost, however long it is open
        .metered_budget(Amount::new(10_000))
        .store(folder.join("agent.db"))
        .build()
        .await?;
    let mut socket = client.connect(url).await?;
    socket.send("SOL/USDC").await?;
    let (mut listening, mut prices) = (pin!(sleep(time)), 0_u32);
    loop {
        let message = tokio::select! {
            message = socket.recv() => message?,
            () = &mut listening => break,
        };
        let Some(Message::Text(price)) = message else { break };
        println!("{price}");
        prices = prices.saturating_add(1);
    }
    let receipt = socket.close().await?.ok_or_else(|| anyhow::anyhow!("it was free"))?;
    client.close(&url.replace("ws://", "http://")).await?;
    Ok((receipt, prices))
}
