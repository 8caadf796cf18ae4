//! What nodes tell by themselves, one port above.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amp_embedded::AccountChange;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use solana_address::Address;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::accounts::{Filter, address, encoded, filters};
use crate::{Refusal, Shared};

/// Numbers subscriptions, over all connections.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Takes connections until it is aborted.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if !*node.away.borrow() {
            connections.spawn(connected(stream, node.clone()));
        }
    }
}

/// What one client subscribed to.
struct Subscription {
    id: u64,
    program: Address,
    filters: Vec<Filter>,
    /// How often the node had forgotten its subscriptions when this one began.
    generation: u64,
}

async fn connected(stream: TcpStream, node: Arc<Shared>) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    let mut changes = node.chain.changes();
    let mut away = node.away.subscribe();
    let mut subscriptions = Vec::new();
    loop {
        let sent = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let request = serde_json::from_str(&text).unwrap_or(Value::Null);
                    let answer = node.subscribe(&request, &mut subscriptions);
                    send(&mut socket, answer).await
                }
                Some(Ok(_)) => true,
                _ => false,
            },
            Some(change) = changes.next() => {
                let mut open = true;
                for subscription in &subscriptions {
                    if let Some(told) = subscription.tell(&change, node.generation.load(Ordering::SeqCst)) {
                        open = open && send(&mut socket, told).await;
                    }
                }
                open
            }
            () = async { drop(away.wait_for(|away| *away).await) } => false,
        };
        if !sent {
            return;
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, value: Value) -> bool {
    socket.send(Message::text(value.to_string())).await.is_ok()
}

impl Shared {
    fn subscribe(&self, request: &Value, subscriptions: &mut Vec<Subscription>) -> Value {
        let method = request["method"].as_str().unwrap_or_default();
        let id = &request["id"];
        match self.subscription(method, &request["params"], subscriptions) {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err(Refusal { code, message, .. }) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
            }
        }
    }

    fn subscription(
        &self,
        method: &str,
        params: &Value,
        subscriptions: &mut Vec<Subscription>,
    ) -> Result<Value, Refusal> {
        let id = NEXT.fetch_add(1, Ordering::SeqCst);
        match method {
            "programSubscribe" => {
                let (program, filters) = (address(&params[0])?, filters(&params[1])?);
                let generation = self.generation.load(Ordering::SeqCst);
                subscriptions.push(Subscription { id, program, filters, generation });
                self.subscribed.fetch_add(1, Ordering::SeqCst);
                Ok(json!(id))
            }
            // asked for to see whether anybody is there; no slot is ever told
            "slotSubscribe" => Ok(json!(id)),
            "programUnsubscribe" | "slotUnsubscribe" => {
                subscriptions.retain(|subscription| Some(subscription.id) != params[0].as_u64());
                Ok(json!(true))
            }
            _ => Err(Refusal { code: -32601, message: format!("no method {method}"), data: None }),
        }
    }
}

impl Subscription {
    /// As real nodes do, it tells of an account as long as it is the program's and matches: of a close
    /// it says nothing.
    fn tell(&self, change: &AccountChange, generation: u64) -> Option<Value> {
        let account = change.after.as_ref().filter(|account| account.owner == self.program)?;
        let matches = self.filters.iter().all(|filter| filter.matches(&account.data));
        (matches && self.generation == generation).then(|| {
            let value = json!({"pubkey": change.address.to_string(), "account": encoded(account)});
            let result = json!({"context": {"slot": change.slot}, "value": value});
            json!({"jsonrpc": "2.0", "method": "programNotification",
                "params": {"result": result, "subscription": self.id}})
        })
    }
}
