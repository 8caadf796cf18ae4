//! Sending a transaction until it is seen, or can't land any more.
//!
//! The same signed bytes are sent again while nothing is seen of them: copies of one transaction land once. So
//! neither an answer that is lost nor a node that drops what it took makes a payment fail, or happen twice.

use std::time::Duration;

use solana_commitment_config::CommitmentConfig;
use solana_hash::Hash;
use solana_rpc_client::nonblocking::rpc_client::RpcClient;
use solana_rpc_client_api::client_error::{Error, ErrorKind};
use solana_rpc_client_api::config::RpcSendTransactionConfig;
use solana_rpc_client_api::request::{RpcError, RpcRequest, RpcResponseErrorData};
use solana_rpc_client_api::response::Response;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use solana_transaction_status_client_types::TransactionStatus;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::{ChainError, TRANSACTION_LIFE};

/// How long a node may take to answer, before it is asked again.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long nothing at all may be answered before whoever waits learns that nobody knows.
const SILENCE: Duration = Duration::from_secs(15);
/// The first pauses between looks; each is half as long again as the one before, up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Blocks come every 400 ms.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long what was taken may stay unseen before it is sent once more.
const SEND_AGAIN: Duration = Duration::from_secs(4);
/// No blockhash expires within so long after it was asked for: it is not asked about before.
const LEAST_LIFE: Duration = Duration::from_secs(3);
/// Slots for which a blockhash is good at the most. A node that lags knows no new blockhash, and calls it invalid: it
/// is believed only so many slots after what was known when the transaction was sent.
const BLOCKHASH_SLOTS: u64 = 150;
/// Looks at a transaction that has expired: blocks are confirmed within seconds.
const LOOKS: u32 = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Sends a transaction and waits until it is confirmed; the slot that it is in. `told` comes when the node
/// says that it is confirmed, or that it will not say.
pub(super) async fn send_until_seen(
    client: &RpcClient,
    transaction: &VersionedTransaction,
    signature: Signature,
    mut told: oneshot::Receiver<()>,
) -> Result<u64, ChainError> {
    let mut taken = match send(client, transaction, false).await {
        Ok(()) => true,
        // a copy of it landed: whoever is between us and the node has repeated it
        Err(error) if error.get_transaction_error() == Some(TransactionError::AlreadyProcessed) => true,
        Err(error) if is_answer(&error) => return Err(failure(error, signature)),
        // it may have been taken all the same
        Err(error) => {
            tracing::warn!(%signature, %error, "no answer to a transaction; it is sent again until it is seen");
            false
        }
    };
    let begun = Instant::now();
    let (mut sent, mut heard, mut pause, mut listens) = (begun, begun, FIRST_PAUSE, true);
    let mut expiry = Expiry::default();
    loop {
        tokio::select! {
            _ = &mut told, if listens => listens = false,
            () = sleep(pause) => pause = pause.saturating_mul(3).checked_div(2).unwrap_or(pause).min(LONGEST_PAUSE),
        }
        if begun.elapsed() > TRANSACTION_LIFE {
            // a node whose slots do not go on would say so for ever
            let reason = "the cluster has neither confirmed it nor let it expire".to_owned();
            return Err(ChainError::Unconfirmed { signature, reason });
        }
        let may_have_expired = begun.elapsed() > LEAST_LIFE;
        let blockhash = transaction.message.recent_blockhash();
        match look(client, may_have_expired.then_some(blockhash), signature, &mut expiry).await {
            Ok(Seen::Confirmed(outcome)) => return outcome,
            Ok(Seen::Expired) => {
                return look_after_expiry(client, blockhash, signature, expiry).await;
            }
            Ok(Seen::NotYet) => heard = Instant::now(),
            Err(error) if heard.elapsed() > SILENCE => {
                return Err(ChainError::Unconfirmed { signature, reason: error.to_string() });
            }
            Err(_) => {}
        }
        if !taken || sent.elapsed() > SEND_AGAIN {
            // what it was refused for, it would be again; but a copy of it may have landed meanwhile
            taken = send(client, transaction, true).await.is_ok() || taken;
            sent = Instant::now();
        }
    }
}

async fn send(client: &RpcClient, transaction: &VersionedTransaction, again: bool) -> Result<(), Error> {
    let config = RpcSendTransactionConfig {
        skip_preflight: again,
        preflight_commitment: Some(CommitmentConfig::confirmed().commitment),
        ..RpcSendTransactionConfig::default()
    };
    in_time(client.send_transaction_with_config(transaction, config)).await.map(|_| ())
}

/// What a look at a transaction shows.
enum Seen {
    /// Its slot, or why it failed.
    Confirmed(Result<u64, ChainError>),
    NotYet,
    Expired,
}

/// From which slot on a blockhash that was new when a transaction was sent has expired for sure.
#[derive(Clone, Copy, Debug, Default)]
struct Expiry {
    /// The highest slot that was answered of before it could expire.
    sent_by: u64,
}

impl Expiry {
    fn is_past(self, slot: u64) -> bool {
        slot >= self.sent_by.saturating_add(BLOCKHASH_SLOTS)
    }
}

/// Whether a blockhash is valid, and the slot that this is of.
async fn validity(
    client: &RpcClient,
    blockhash: &Hash,
    commitment: CommitmentConfig,
) -> Result<Response<bool>, Error> {
    let params = serde_json::json!([blockhash.to_string(), commitment]);
    in_time(client.send(RpcRequest::IsBlockhashValid, params)).await
}

async fn look(
    client: &RpcClient,
    blockhash: Option<&Hash>,
    signature: Signature,
    expiry: &mut Expiry,
) -> Result<Seen, Error> {
    let statuses = in_time(client.get_signature_statuses(&[signature])).await?;
    if blockhash.is_none() || expiry.sent_by == 0 {
        expiry.sent_by = expiry.sent_by.max(statuses.context.slot);
    }
    if let Some(status) = statuses.value.into_iter().next().flatten() {
        return Ok(confirmed(status).map_or(Seen::NotYet, Seen::Confirmed));
    }
    let Some(blockhash) = blockhash else { return Ok(Seen::NotYet) };
    let found = validity(client, blockhash, CommitmentConfig::processed()).await?;
    Ok(if found.value || !expiry.is_past(found.context.slot) { Seen::NotYet } else { Seen::Expired })
}

/// What became of a transaction that is in a block, once that is confirmed.
fn confirmed(status: TransactionStatus) -> Option<Result<u64, ChainError>> {
    let failed = |error| Err(ChainError::from_transaction(error, Vec::new()));
    let is_confirmed = status.satisfies_commitment(CommitmentConfig::confirmed());
    is_confirmed.then(|| status.err.map_or(Ok(status.slot), failed))
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Err(ErrorKind::Custom("no answer in time".to_owned()).into());
    timeout(ANSWER_WAIT, answer).await.unwrap_or_else(late)
}

/// Whether the node has answered: then it is known that it did not take the transaction.
fn is_answer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RpcError(RpcError::RpcResponseError { .. }))
        || error.get_transaction_error().is_some()
}

/// What became of a transaction whose blockhash has expired, by the node's newest block; it may have
/// landed in the last one it could. So it is waited until the blockhash has expired by the blocks that are
/// confirmed, and only then looked for: if it is in none of them, it is in none at all.
async fn look_after_expiry(
    client: &RpcClient,
    blockhash: &Hash,
    signature: Signature,
    expiry: Expiry,
) -> Result<u64, ChainError> {
    let unknown = |error: Error| ChainError::Unconfirmed { signature, reason: error.to_string() };
    for _ in 0..LOOKS {
        let valid = validity(client, blockhash, CommitmentConfig::confirmed()).await.map_err(unknown)?;
        let statuses =
            in_time(client.get_signature_statuses_with_history(&[signature])).await.map_err(unknown)?;
        // each may be another node's behind the same address
        let is_over =
            !valid.value && expiry.is_past(valid.context.slot) && expiry.is_past(statuses.context.slot);
        match statuses.value.into_iter().next().flatten() {
            None if is_over => return Err(ChainError::Expired { signature }),
            status => {
                if let Some(outcome) = status.and_then(confirmed) {
                    return outcome;
                }
            }
        }
        sleep(BETWEEN_LOOKS).await;
    }
    let reason = "its blockhash expired, but not by confirmed blocks".to_owned();
    Err(ChainError::Unconfirmed { signature, reason })
}

/// A failed send: refused by simulation or by the runtime, or not known.
fn failure(error: Error, signature: Signature) -> ChainError {
    if let ErrorKind::RpcError(RpcError::RpcResponseError {
        data: RpcResponseErrorData::SendTransactionPreflightFailure(simulation),
        ..
    }) = error.kind()
        && let Some(cause) = simulation.err.clone()
    {
        return ChainError::from_transaction(cause.into(), simulation.logs.clone().unwrap_or_default());
    }
    match error.get_transaction_error() {
        Some(cause) => ChainError::from_transaction(cause, Vec::new()),
        None => ChainError::Unconfirmed { signature, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response};
    use axum::{Json, Router, routing::post};
    use serde_json::{Value, json};

    use super::*;
    use crate::chain::{ComputeBudget, Plan, PriorityFee};
    use crate::signer::{KeypairSigner, Signer as _};

    /// What a node answers to each method, in order; the last answer is given for ever. `None`: 502.
    type Script = HashMap<&'static str, Vec<Option<Value>>>;

    struct Node {
        client: RpcClient,
        asked: Arc<Mutex<Vec<String>>>,
    }

    async fn node(script: Script) -> Node {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = (Arc::new(Mutex::new(script)), asked.clone());
        let app = Router::new().route("/", post(answer)).with_state(shared);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Node { client: RpcClient::new_with_commitment(url, CommitmentConfig::confirmed()), asked }
    }

    type Shared = (Arc<Mutex<Script>>, Arc<Mutex<Vec<String>>>);

    async fn answer(State((script, asked)): State<Shared>, Json(request): Json<Value>) -> Response {
        let method = request["method"].as_str().unwrap().to_owned();
        asked.lock().unwrap().push(method.clone());
        let mut script = script.lock().unwrap();
        let answers = script.get_mut(method.as_str()).unwrap_or_else(|| panic!("{method}"));
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        let Some(mut answer) = answer else { return StatusCode::BAD_GATEWAY.into_response() };
        if answer == json!({"result": "signature"}) {
            let bytes = base64_of(request["params"][0].as_str().unwrap());
            answer["result"] = Signature::try_from(&bytes[1..65]).unwrap().to_string().into();
        }
        answer["id"] = request["id"].clone();
        answer["jsonrpc"] = "2.0".into();
        Json(answer).into_response()
    }

    fn base64_of(text: &str) -> Vec<u8> {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.decode(text).unwrap()
    }

    fn taken() -> Option<Value> {
        Some(json!({"result": "signature"}))
    }

    fn status(status: Value) -> Option<Value> {
        Some(json!({"result": {"context": {"slot": 9}, "value": [status]}}))
    }

    fn confirmed() -> Option<Value> {
        let ok = json!({"Ok": null});
        status(
            json!({"slot": 7, "confirmations": 1, "err": null, "status": ok, "confirmationStatus": "confirmed"}),
        )
    }

    fn valid(is_valid: bool) -> Vec<Option<Value>> {
        valid_at(200, is_valid)
    }

    fn valid_at(slot: u64, is_valid: bool) -> Vec<Option<Value>> {
        vec![Some(json!({"result": {"context": {"slot": slot}, "value": is_valid}}))]
    }

    /// Nothing is known of it at a slot at which its blockhash has expired.
    fn unseen() -> Option<Value> {
        Some(json!({"result": {"context": {"slot": 200}, "value": [null]}}))
    }

    async fn send_to(node: &Node) -> Result<u64, ChainError> {
        let signer = KeypairSigner::generate();
        let plan = Plan::new(signer.public_key(), ComputeBudget::settle(), PriorityFee::default(), vec![]);
        let transaction = plan.sign(Hash::default(), &[&signer]).await.unwrap();
        let (_never, told) = oneshot::channel();
        send_until_seen(&node.client, &transaction, transaction.signatures[0], told).await
    }

    fn count(node: &Node, method: &str) -> usize {
        node.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }

    #[tokio::test]
    async fn a_transaction_to_which_no_answer_came_is_sent_again_and_seen() {
        let script = [
            ("sendTransaction", vec![None, None, taken()]),
            ("getSignatureStatuses", vec![status(Value::Null), None, status(Value::Null), confirmed()]),
        ];
        let node = node(script.into()).await;
        assert_eq!(send_to(&node).await.unwrap(), 7);
        assert_eq!((count(&node, "sendTransaction"), count(&node, "getSignatureStatuses")), (3, 4));
    }

    #[tokio::test]
    async fn a_transaction_that_landed_though_the_answer_was_lost_is_a_success() {
        let script = [("sendTransaction", vec![None]), ("getSignatureStatuses", vec![confirmed()])];
        let node = node(script.into()).await;
        assert_eq!(send_to(&node).await.unwrap(), 7);
        assert_eq!(count(&node, "sendTransaction"), 1);
    }

    #[tokio::test]
    async fn a_transaction_that_the_node_refuses_is_refused_at_once() {
        let error = json!({"code": -32002, "message": "Blockhash not found", "data": {
            "err": "BlockhashNotFound", "logs": [], "accounts": null, "unitsConsumed": 0}});
        let script = [("sendTransaction", vec![Some(json!({"error": error}))])];
        let node = node(script.into()).await;
        let refused = send_to(&node).await.unwrap_err();
        assert!(refused.is_expired(), "{refused:?}");
        assert_eq!(node.asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_transaction_that_failed_on_chain_is_no_success() {
        let failed = json!({"slot": 7, "confirmations": 1, "err": "AccountInUse", "status": {"Err": "AccountInUse"},
            "confirmationStatus": "confirmed"});
        let script = [("sendTransaction", vec![taken()]), ("getSignatureStatuses", vec![status(failed)])];
        let node = node(script.into()).await;
        let failed = send_to(&node).await.unwrap_err();
        let expected = TransactionError::AccountInUse;
        assert!(matches!(&failed, ChainError::Failed { error, .. } if *error == expected), "{failed:?}");
    }

    #[tokio::test]
    async fn a_transaction_that_is_taken_and_never_seen_has_expired_when_its_blockhash_has() {
        let script = [
            ("sendTransaction", vec![taken()]),
            ("getSignatureStatuses", vec![status(Value::Null), unseen()]),
            ("isBlockhashValid", valid(false)),
        ];
        let node = node(script.into()).await;
        // what was answered first counts as the slot of the sending: all later answers are of slot 200
        let mut expiry = Expiry { sent_by: 9 };
        let look = look(&node.client, Some(&Hash::default()), Signature::default(), &mut expiry).await;
        assert!(matches!(look.unwrap(), Seen::Expired));
        let expired = look_after_expiry(&node.client, &Hash::default(), Signature::default(), expiry)
            .await
            .unwrap_err();
        assert!(matches!(expired, ChainError::Expired { .. }), "{expired:?}");
    }

    #[tokio::test]
    async fn a_node_that_lags_and_does_not_know_the_blockhash_is_not_believed_that_it_expired() {
        let script = [
            ("getSignatureStatuses", vec![status(Value::Null)]),
            ("isBlockhashValid", [valid_at(3, false), valid_at(158, false), valid_at(159, false)].concat()),
        ];
        let node = node(script.into()).await;
        let mut expiry = Expiry { sent_by: 9 };
        for expired in [false, false, true] {
            let look = look(&node.client, Some(&Hash::default()), Signature::default(), &mut expiry).await;
            assert_eq!(matches!(look.unwrap(), Seen::Expired), expired);
        }
    }

    #[tokio::test]
    async fn a_copy_that_was_processed_already_is_looked_for_and_no_failure() {
        let error = json!({"code": -32002, "message": "already processed", "data": {
            "err": "AlreadyProcessed", "logs": [], "accounts": null, "unitsConsumed": 0}});
        let script = [
            ("sendTransaction", vec![Some(json!({"error": error}))]),
            ("getSignatureStatuses", vec![confirmed()]),
        ];
        let node = node(script.into()).await;
        assert_eq!(send_to(&node).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn one_that_is_seen_only_after_its_blockhash_expired_is_a_success() {
        let script = [
            ("getSignatureStatuses", vec![status(Value::Null), confirmed()]),
            // by the newest block it has expired; by the confirmed ones not yet
            ("isBlockhashValid", [valid(true), valid(false)].concat()),
        ];
        let node = node(script.into()).await;
        let seen =
            look_after_expiry(&node.client, &Hash::default(), Signature::default(), Expiry::default()).await;
        assert_eq!(seen.unwrap(), 7);
    }
}
