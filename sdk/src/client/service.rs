//! One service as this process knows it: its document, its channel, and who may change them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use amp_protocol::json::DiscoveryDocument;
use solana_address::Address;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::discovery::origin_text;
use super::error::ClientError;
use super::open::mint_of;
use super::store::ChannelRecord;

/// A service that is, or is to be, paid.
pub(super) struct Service {
    /// Its origin.
    pub(super) origin: Url,
    /// The same as it is stored and shown.
    pub(super) name: String,
    /// Held while the channel is opened, topped up or closed: parallel first calls open one channel.
    pub(super) gate: tokio::sync::Mutex<()>,
    view: Mutex<View>,
    permits: OnceLock<Arc<Semaphore>>,
    /// The session to it, where there is one.
    #[cfg(feature = "mcp")]
    peer: Mutex<Option<rmcp::Peer<rmcp::RoleClient>>>,
    /// The connection to it, where it is called over gRPC.
    #[cfg(feature = "grpc")]
    grpc: Mutex<Option<tonic::transport::Channel>>,
}

#[derive(Default)]
struct View {
    document: Option<(Arc<DiscoveryDocument>, Instant)>,
    channel: Option<Arc<ChannelRecord>>,
    /// Whether it is known to take AMP.
    paid: bool,
}

impl Service {
    pub(super) fn new(origin: Url) -> Self {
        let name = origin_text(&origin);
        Self {
            origin,
            name,
            gate: Default::default(),
            view: Default::default(),
            permits: OnceLock::new(),
            #[cfg(feature = "mcp")]
            peer: Mutex::default(),
            #[cfg(feature = "grpc")]
            grpc: Mutex::default(),
        }
    }

    /// Asks by this session from now on.
    #[cfg(feature = "mcp")]
    pub(super) fn connect(&self, peer: rmcp::Peer<rmcp::RoleClient>) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
    }

    /// The session to it, as long as that lives.
    #[cfg(feature = "mcp")]
    pub(super) fn peer(&self) -> Option<rmcp::Peer<rmcp::RoleClient>> {
        let peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        peer.clone().filter(|peer| !peer.is_transport_closed())
    }

    /// Asks over gRPC from now on, by this connection.
    #[cfg(feature = "grpc")]
    pub(super) fn connect_grpc(&self, channel: tonic::transport::Channel) {
        *self.grpc.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel);
    }

    /// The connection, where it is asked over gRPC.
    #[cfg(feature = "grpc")]
    pub(super) fn grpc(&self) -> Option<tonic::transport::Channel> {
        self.grpc.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The document, if it is young enough.
    pub(super) fn document(&self, max_age: Duration) -> Option<Arc<DiscoveryDocument>> {
        let view = self.view();
        let (document, fetched) = view.document.as_ref()?;
        (fetched.elapsed() < max_age).then(|| document.clone())
    }

    /// Takes a new document in, unless it names another recipient or token than the open channel has.
    pub(super) fn set_document(
        &self,
        document: DiscoveryDocument,
    ) -> Result<Arc<DiscoveryDocument>, ClientError> {
        let mut view = self.view();
        if let Some(channel) = &view.channel {
            self.check(channel, &document)?;
        }
        let document = Arc::new(document);
        view.document = Some((document.clone(), Instant::now()));
        view.paid = true;
        Ok(document)
    }

    /// Whether the document names the recipient that the channel pays, and prices in the token that it
    /// holds: a price in one token must not be paid in another.
    pub(super) fn check(
        &self,
        channel: &ChannelRecord,
        document: &DiscoveryDocument,
    ) -> Result<(), ClientError> {
        let (known, named) = (channel.recipient, Address::from(document.recipient.0));
        if known != named {
            return Err(ClientError::RecipientChanged { origin: self.name.clone(), known, named });
        }
        let (known, named) = (channel.mint, mint_of(document));
        if known != named {
            return Err(ClientError::TokenChanged { origin: self.name.clone(), known, named });
        }
        Ok(())
    }

    /// Whether it takes AMP, so that its routes are paid without asking first.
    pub(super) fn is_paid(&self) -> bool {
        self.view().paid
    }

    /// It has a channel in the store, so it takes AMP.
    pub(super) fn mark_paid(&self) {
        self.view().paid = true;
    }

    /// The channel that pays.
    pub(super) fn channel(&self) -> Option<Arc<ChannelRecord>> {
        self.view().channel.clone()
    }

    pub(super) fn set_channel(&self, record: ChannelRecord) -> Arc<ChannelRecord> {
        let record = Arc::new(record);
        self.view().channel = Some(record.clone());
        record
    }

    /// Forgets this channel, so that the next call looks into the store again.
    pub(super) fn forget(&self, id: i64) {
        let mut view = self.view();
        if view.channel.as_ref().is_some_and(|channel| channel.id == id) {
            view.channel = None;
        }
    }

    /// Waits for a place among the calls in flight. With more of them than the service remembers seqs
    /// for, the slowest would be refused as too old.
    pub(super) async fn permit(
        &self,
        document: &DiscoveryDocument,
        limit: u32,
    ) -> Option<OwnedSemaphorePermit> {
        let places = limit.min(document.seq_window.max(1));
        let places = usize::try_from(places).unwrap_or(1);
        let permits = self.permits.get_or_init(|| Arc::new(Semaphore::new(places)));
        permits.clone().acquire_owned().await.ok()
    }

    fn view(&self) -> std::sync::MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_protocol::json::Base58;
    use futures::FutureExt as _;

    fn document(seq_window: u32) -> DiscoveryDocument {
        serde_json::from_value(serde_json::json!({
            "amp_version": "1.0", "recipient": Base58([2; 32]), "program_id": Base58([3; 32]),
            "network": "solana:localnet", "seq_window": seq_window,
            "pricing": {"default": {"mode": "per-call", "rate": "1", "token": Base58([4; 32]),
                "min_deposit": "1", "settle_interval": 60}}
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn no_more_calls_are_in_flight_than_the_service_remembers_seqs_for() {
        for (seq_window, limit, places) in [(2, 32, 2), (64, 3, 3), (0, 32, 1)] {
            let (service, document) =
                (Service::new("https://a.example".parse().unwrap()), document(seq_window));
            let permit = || service.permit(&document, limit);
            let mut held = Vec::new();
            for _ in 0..places {
                held.push(permit().now_or_never().expect("a place"));
            }
            assert!(permit().now_or_never().is_none(), "{seq_window}");
            held.pop();
            assert!(permit().now_or_never().is_some());
        }
    }
}
