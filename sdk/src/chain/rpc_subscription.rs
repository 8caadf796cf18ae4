//! Changes of channels by `programSubscribe`, over WebSocket.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use solana_address::Address;
use solana_pubsub_client::nonblocking::pubsub_client::PubsubClient;
use solana_rpc_client_api::config::RpcProgramAccountsConfig;
use solana_rpc_client_api::response::{Response, RpcKeyedAccount};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use url::Url;

use super::{AccountSnapshot, ChainError, ChannelChange, ChannelChanges};

/// How long the node may take to connect, and to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// After how long without a change the node is asked whether it is still there: a connection whose other end
/// is gone is silent, too.
const QUIET: Duration = Duration::from_secs(30);
/// Changes that may wait for whoever reads them.
const QUEUE: usize = 256;

/// The WebSocket address that goes with an HTTP one, as Solana's tools have it: the same host, and where a
/// port is named the one above. `None` where it is no address.
pub(super) fn websocket_url(url: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
    let port = url.port();
    url.set_scheme(scheme).ok()?;
    if let Some(port) = port {
        url.set_port(Some(port.checked_add(1)?)).ok()?;
    }
    Some(url.into())
}

/// Subscribes to the accounts of a program that `config` describes.
pub(super) async fn watch(
    websocket: String,
    program_id: Address,
    config: RpcProgramAccountsConfig,
) -> Result<ChannelChanges, ChainError> {
    let (begun, begins) = oneshot::channel();
    let (changes, receiver) = mpsc::channel(QUEUE);
    // a task of its own, as the client's streams borrow it
    tokio::spawn(tell(websocket, program_id, config, begun, changes));
    begins.await.unwrap_or_else(|_| Err(unreachable("the WebSocket client failed")))?;
    let next = |mut receiver: mpsc::Receiver<ChannelChange>| async {
        receiver.recv().await.map(|change| (change, receiver))
    };
    Ok(stream::unfold(receiver, next).boxed())
}

/// Tells of changes until the connection breaks or nobody listens.
async fn tell(
    websocket: String,
    program_id: Address,
    config: RpcProgramAccountsConfig,
    begun: oneshot::Sender<Result<(), ChainError>>,
    listener: mpsc::Sender<ChannelChange>,
) {
    let client = match in_time(PubsubClient::new(websocket)).await {
        Ok(client) => client,
        Err(error) => return drop(begun.send(Err(error))),
    };
    let mut changes = match in_time(client.program_subscribe(&program_id, Some(config))).await {
        Ok((changes, _)) => changes,
        Err(error) => return drop(begun.send(Err(error))),
    };
    if begun.send(Ok(())).is_err() {
        return;
    }
    loop {
        let next = tokio::select! {
            next = timeout(QUIET, changes.next()) => next,
            () = listener.closed() => return,
        };
        match next {
            Ok(Some(told)) => {
                if let Some(change) = change(told, &program_id)
                    && listener.send(change).await.is_err()
                {
                    return;
                }
            }
            Ok(None) => return,
            Err(_) if is_there(&client).await => {}
            Err(_) => return,
        }
    }
}

/// Whether the other end answers. The client tells of no pong, so it is asked for something cheap.
async fn is_there(client: &PubsubClient) -> bool {
    match in_time(client.slot_subscribe()).await {
        Ok((_, unsubscribe)) => timeout(ANSWER_WAIT, unsubscribe()).await.is_ok(),
        Err(_) => false,
    }
}

/// What a notification says. Most nodes tell of no close, as the account is not the program's any more;
/// those that do show one without lamports, or of another owner.
fn change(told: Response<RpcKeyedAccount>, program_id: &Address) -> Option<ChannelChange> {
    let address = told.value.pubkey.parse().ok()?;
    let account = told.value.account.to_account()?;
    let is_there = account.lamports > 0 && account.owner == *program_id;
    let snapshot = AccountSnapshot { owner: account.owner, lamports: account.lamports, data: account.data };
    Some(ChannelChange { address, account: is_there.then_some(snapshot), slot: told.context.slot })
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, solana_pubsub_client::pubsub_client::PubsubClientError>>,
) -> Result<T, ChainError> {
    match timeout(ANSWER_WAIT, answer).await {
        Ok(answer) => answer.map_err(|error| unreachable(&error.to_string())),
        Err(_) => Err(unreachable("no answer over WebSocket in time")),
    }
}

fn unreachable(message: &str) -> ChainError {
    ChainError::Unreachable(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_websocket_is_where_solana_tools_look_for_it() {
        let derived = |url| websocket_url(url).unwrap();
        assert_eq!(derived("http://127.0.0.1:8899"), "ws://127.0.0.1:8900/");
        assert_eq!(derived("https://api.devnet.solana.com"), "wss://api.devnet.solana.com/");
        assert_eq!(derived("https://node.example/?api-key=1"), "wss://node.example/?api-key=1");
        assert_eq!(websocket_url("http://127.0.0.1:65535"), None);
        assert_eq!(websocket_url("nowhere"), None);
    }

    const PROGRAM: Address = Address::new_from_array([7; 32]);

    fn told(owner: Address, lamports: u64, data: &str) -> Response<RpcKeyedAccount> {
        let account: Value = json!({"data": [data, "base64"], "executable": false, "lamports": lamports,
            "owner": owner.to_string(), "rentEpoch": 0, "space": 3});
        let address = Address::from([9; 32]).to_string();
        let told = json!({"context": {"slot": 5}, "value": {"pubkey": address, "account": account}});
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn an_account_of_the_program_has_changed() {
        let account = Some(AccountSnapshot { owner: PROGRAM, lamports: 3, data: b"abc".to_vec() });
        let expected = ChannelChange { address: [9; 32].into(), account, slot: 5 };
        assert_eq!(change(told(PROGRAM, 3, "YWJj"), &PROGRAM), Some(expected));
    }

    #[test]
    fn an_account_without_lamports_or_of_another_owner_is_gone() {
        for told in
            [told(PROGRAM, 0, "YWJj"), told(Address::default(), 0, ""), told(Address::default(), 3, "")]
        {
            let expected = ChannelChange { address: [9; 32].into(), account: None, slot: 5 };
            assert_eq!(change(told, &PROGRAM), Some(expected));
        }
    }
}
