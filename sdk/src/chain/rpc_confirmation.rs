//! Being told that a transaction is confirmed, by `signatureSubscribe`: without it, it is found out by asking
//! again and again, late by what is left of the pause between two looks.
//!
//! Nothing relies on it. One connection serves all transactions of a chain; where there is none, or it breaks,
//! they are asked for.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use solana_commitment_config::CommitmentConfig;
use solana_pubsub_client::nonblocking::pubsub_client::PubsubClient;
use solana_rpc_client_api::config::RpcSignatureSubscribeConfig;
use solana_signature::Signature;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout};

use super::TRANSACTION_LIFE;

/// How long the node may take to connect, and to take a subscription.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long a node that could not be connected to is left alone.
const PAUSE: Duration = Duration::from_secs(30);

/// The connection that confirmations are told over.
pub(super) struct Confirmations {
    connection: Option<Arc<Connection>>,
}

struct Connection {
    websocket: String,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    New,
    Open(Arc<PubsubClient>),
    Failed(Instant),
}

impl Confirmations {
    pub(super) fn at(websocket: Option<String>) -> Self {
        let connection = |websocket| Arc::new(Connection { websocket, state: Mutex::default() });
        Self { connection: websocket.map(connection) }
    }

    /// Comes when a transaction is confirmed, or when nobody will tell.
    pub(super) fn told(&self, signature: Signature) -> oneshot::Receiver<()> {
        let (confirmed, told) = oneshot::channel();
        if let Some(connection) = self.connection.clone() {
            tokio::spawn(async move { connection.tell(signature, confirmed).await });
        }
        told
    }
}

impl Connection {
    async fn tell(&self, signature: Signature, mut listener: oneshot::Sender<()>) {
        let Some(client) = self.client().await else { return };
        let config = RpcSignatureSubscribeConfig {
            commitment: Some(CommitmentConfig::confirmed()),
            enable_received_notification: None,
        };
        let subscribed = timeout(ANSWER_WAIT, client.signature_subscribe(&signature, Some(config))).await;
        let Ok(Ok((mut changes, unsubscribe))) = subscribed else { return self.lost(&client).await };
        let heard = tokio::select! {
            heard = timeout(TRANSACTION_LIFE, changes.next()) => Some(heard),
            // it was seen otherwise
            () = listener.closed() => None,
        };
        match heard {
            Some(Ok(Some(_))) => drop(listener.send(())),
            Some(Ok(None)) => return self.lost(&client).await,
            Some(Err(_)) | None => {}
        }
        // the library remembers a subscription until it is given up; a node that says nothing to that is left
        let _ = timeout(ANSWER_WAIT, unsubscribe()).await;
    }

    async fn client(&self) -> Option<Arc<PubsubClient>> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Open(client) => return Some(client.clone()),
            State::Failed(at) if at.elapsed() < PAUSE => return None,
            State::New | State::Failed(_) => {}
        }
        match timeout(ANSWER_WAIT, PubsubClient::new(&self.websocket)).await {
            Ok(Ok(client)) => {
                let client = Arc::new(client);
                *state = State::Open(client.clone());
                Some(client)
            }
            _ => {
                *state = State::Failed(Instant::now());
                None
            }
        }
    }

    /// The next transaction connects anew.
    async fn lost(&self, client: &Arc<PubsubClient>) {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, client)) {
            *state = State::New;
        }
    }
}
