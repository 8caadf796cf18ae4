//! The agent: its limits, a connection that pays, and the client that tonic made of the service's `.proto`.

use std::path::Path;
use std::sync::Arc;

use amp_sdk::chain::Chain;
use amp_sdk::client::Client;
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::KeypairSigner;
use solana_address::Address;
use tonic::transport::Channel;

use crate::files::DownloadRequest;
use crate::files::files_client::FilesClient;

pub(crate) async fn download(
    key: KeypairSigner,
    mint: Address,
    chain: Arc<dyn Chain>,
    folder: &Path,
    url: &str,
) -> anyhow::Result<u64> {
    let client = Client::builder()
        .funder(key)
        .chain(chain)
        .allow_mint(mint)
        .deposit(Amount::new(20_000))
        .metered_budget(Amount::new(10_000))
        .store(folder.join("agent.db"))
        .build()
        .await?;
    let connection = Channel::from_shared(url.to_owned())?.connect().await?;
    let mut files = FilesClient::new(client.grpc(url, connection)?);

    let request = DownloadRequest { name: "a film".to_owned() };
    let mut stream = files.download(request).await?.into_inner();
    let mut bytes = 0_u64;
    while let Some(piece) = stream.message().await? {
        bytes = bytes.saturating_add(piece.content.len().try_into()?);
    }
    let trailers = stream.trailers().await?.unwrap_or_default();
    let said = |name| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?");
    eprintln!("  it cost {} base units, of {} are left", said("amp-cost"), said("amp-balance"));
    Ok(bytes)
}
