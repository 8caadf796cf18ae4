//! The service: what it serves, what that costs, and the layer.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use amp_sdk::chain::Chain;
use amp_sdk::protocol::json::PricingMode;
use amp_sdk::protocol::money::Amount;
use amp_sdk::protocol::rate::{Per, Rate};
use amp_sdk::server::{AmpGrpcLayer, AmpService, ServiceConfig, SqliteStore};
use amp_sdk::signer::KeypairSigner;
use futures::{Stream, stream};
use solana_address::Address;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};

use crate::files::files_server::{Files, FilesServer};
use crate::files::{DownloadRequest, Piece};

struct Disk;

#[async_trait::async_trait]
impl Files for Disk {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<Piece, Status>> + Send>>;

    async fn download(&self, _: Request<DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        let pieces = (0..crate::SIZE >> 14).map(|_| Ok(Piece { content: vec![b'x'; 1 << 14] }));
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }
}

pub(crate) struct Shop {
    pub(crate) service: AmpService,
    pub(crate) url: String,
}

pub(crate) async fn serve(
    key: KeypairSigner,
    mint: Address,
    chain: Arc<dyn Chain>,
    folder: &Path,
) -> anyhow::Result<Shop> {
    let a_kibibyte = Rate { amount: Amount::new(1), per: Per::new(1024).unwrap_or_default() };
    let config = ServiceConfig::new(Arc::new(key), mint, Amount::new(1))
        .metered_route("/files.v1.Files/Download", PricingMode::PerByte, a_kibibyte)
        .settle_interval(crate::INTERVAL);
    let service = AmpService::start(config, chain, SqliteStore::open(folder.join("service.db"))?).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server =
        Server::builder().layer(AmpGrpcLayer::new(service.clone())).add_service(FilesServer::new(Disk));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(Shop { service, url })
}
