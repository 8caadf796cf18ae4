use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Hands bytes on to another port of this machine, so that connections can be cut. WebSocket needs no more.
pub(super) struct Relay {
    pub(super) url: String,
    /// Whether connections are cut, and new ones closed at once.
    cut: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Relay {
    pub(super) async fn before(websocket: &str) -> anyhow::Result<Self> {
        let upstream = websocket.strip_prefix("ws://").context("only ws:// can be relayed")?;
        let upstream: Arc<str> = upstream.trim_end_matches('/').into();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("ws://{}", listener.local_addr()?);
        let (cut, state) = watch::channel(false);
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(hand_on(connection, upstream.clone(), state.clone()));
            }
        });
        Ok(Self { url, cut, serving })
    }

    pub(super) fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn hand_on(mut connection: TcpStream, upstream: Arc<str>, mut cut: watch::Receiver<bool>) {
    if *cut.borrow() {
        return;
    }
    let connecting = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(&*upstream)).await;
    let Ok(Ok(mut upstream)) = connecting else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut connection, &mut upstream) => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
}
