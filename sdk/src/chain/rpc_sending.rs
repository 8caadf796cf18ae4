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
use solana_rpc_client_api::request::{RpcError, RpcResponseErrorData};
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::ChainError;

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
        Err(error) if is_answer(&error) => return Err(failure(error, signature)),
        // it may have been taken all the same
        Err(error) => {
            tracing::warn!(%signature, %error, "no answer to a transaction; it is sent again until it is seen");
            false
        }
    };
    let begun = Instant::now();
    let (mut sent, mut heard, mut pause, mut listens) = (begun, begun, FIRST_PAUSE, true);
    loop {
        tokio::select! {
            _ = &mut told, if listens => listens = false,
            () = sleep(pause) => pause = pause.saturating_mul(3).checked_div(2).unwrap_or(pause).min(LONGEST_PAUSE),
        }
        let may_have_expired = begun.elapsed() > LEAST_LIFE;
        let blockhash = transaction.message.recent_blockhash();
        match look(client, may_have_expired.then_some(blockhash), signature).await {
            Ok(Seen::Confirmed(slot)) => return Ok(slot),
            Ok(Seen::Failed(error)) => return Err(ChainError::from_transaction(error, Vec::new())),
            Ok(Seen::Expired) => {
                return look_after_expiry(client, blockhash, signature).await;
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
    Confirmed(u64),
    Failed(TransactionError),
    NotYet,
    Expired,
}

async fn look(client: &RpcClient, blockhash: Option<&Hash>, signature: Signature) -> Result<Seen, Error> {
    let statuses = in_time(client.get_signature_statuses(&[signature])).await?;
    match statuses.value.into_iter().next().flatten() {
        Some(status) if status.satisfies_commitment(CommitmentConfig::confirmed()) => {
            return Ok(status.err.map_or(Seen::Confirmed(status.slot), Seen::Failed));
        }
        Some(_) => return Ok(Seen::NotYet),
        None => {}
    }
    let Some(blockhash) = blockhash else { return Ok(Seen::NotYet) };
    let is_valid = in_time(client.is_blockhash_valid(blockhash, CommitmentConfig::processed())).await?;
    Ok(if is_valid { Seen::NotYet } else { Seen::Expired })
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
) -> Result<u64, ChainError> {
    let confirmed = CommitmentConfig::confirmed();
    let unknown = |error: Error| ChainError::Unconfirmed { signature, reason: error.to_string() };
    for _ in 0..LOOKS {
        let is_valid = client.is_blockhash_valid(blockhash, confirmed).await.map_err(unknown)?;
        let statuses = client.get_signature_statuses_with_history(&[signature]).await;
        match statuses.map_err(unknown)?.value.into_iter().next().flatten() {
            None if !is_valid => return Err(ChainError::Expired { signature }),
            Some(status) if status.satisfies_commitment(confirmed) => {
                let failed = |error| Err(ChainError::from_transaction(error, Vec::new()));
                return status.err.map_or(Ok(status.slot), failed);
            }
            _ => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
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
