use std::time::Duration;

use amp_protocol::json::{SignedCloseStatement, SignedMeteringProof};
use amp_protocol::money::Amount;
use amp_protocol::text::network;
use amp_sdk::server::{Incarnation, Session, SessionState};
use amp_sdk::signed::{verify_close_statement, verify_metering_proof};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use solana_address::Address;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Operator;
use super::history::History;
use super::recall::MOST;
use super::reconciliation::{Reconciliation, finished, of_gone, of_session};
use super::sampling::now;
use crate::proxy::plain;

/// Rows of an answer where nothing is said.
const SOME: u32 = 50;
const MONTH: i64 = 31 * 24 * 3_600;

fn answer(value: &impl Serialize) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(json!(value))).into_response()
}

fn unreadable(error: &rusqlite::Error) -> Response {
    tracing::error!(%error, "the history can't be read");
    plain(StatusCode::SERVICE_UNAVAILABLE, "NO_HISTORY", "the history can't be read; see the log")
}

/// Reads the history where that may block.
async fn read<T: Send + 'static>(
    history: &History,
    ask: impl FnOnce(&History) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Response> {
    let history = history.clone();
    let asked = spawn_blocking(move || ask(&history)).await;
    asked.unwrap_or_else(|_| Err(rusqlite::Error::InvalidQuery)).map_err(|error| unreadable(&error))
}

pub(super) async fn summary(State(Operator(operator)): State<Operator>) -> Response {
    let overview = operator.service.overview().await;
    let totals = read(&operator.history, |history| {
        history.flush();
        history.totals()
    });
    let (charged, settled) = match totals.await {
        Ok(totals) => totals,
        Err(response) => return response,
    };
    let discovery = operator.service.discovery();
    answer(&json!({
        "recipient": operator.recipient.to_string(),
        "mint": operator.mint.to_string(),
        "decimals": operator.decimals,
        "network": discovery.network,
        "program_id": discovery.program_id,
        "pricing": discovery.pricing,
        "explorer": explorer(&discovery.network, &operator.rpc),
        "standing": overview,
        "charged": charged,
        "settled": settled,
    }))
}

/// Where a transaction is looked at; `{}` stands for it.
fn explorer(name: &str, rpc: &str) -> String {
    let cluster = match name {
        network::MAINNET_BETA => String::new(),
        network::DEVNET | network::TESTNET => format!("?cluster={}", name.trim_start_matches("solana:")),
        _ => format!("?cluster=custom&customUrl={}", rpc.replace(':', "%3A").replace('/', "%2F")),
    };
    format!("https://explorer.solana.com/tx/{{}}{cluster}")
}

#[derive(Deserialize)]
pub(super) struct Page {
    state: Option<String>,
    offset: Option<usize>,
    limit: Option<u32>,
}

impl Page {
    fn limit(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(SOME).min(MOST)).unwrap_or_default()
    }
}

fn name_of(state: SessionState) -> &'static str {
    match state {
        SessionState::Open => "open",
        SessionState::Stopped => "stopped",
        SessionState::Closing => "closing",
        SessionState::Gone => "gone",
    }
}

pub(super) async fn sessions(
    State(Operator(operator)): State<Operator>,
    Query(page): Query<Page>,
) -> Response {
    let mut found = Vec::new();
    let mut total: usize = 0;
    let offset = page.offset.unwrap_or_default();
    for incarnation in operator.service.incarnations() {
        let Some(session) = operator.service.session_as_seen(&incarnation) else { continue };
        if page.state.as_ref().is_some_and(|state| state != name_of(session.state)) {
            continue;
        }
        if total >= offset && found.len() < page.limit() {
            found.push(session);
        }
        total = total.saturating_add(1);
        if total.is_multiple_of(256) {
            tokio::task::yield_now().await;
        }
    }
    answer(&json!({"sessions": found, "total": total, "offset": offset}))
}

/// The newest opening of an address that has books.
fn newest(operator: &Operator, channel: &Address) -> Option<Incarnation> {
    let all = operator.0.service.incarnations();
    all.into_iter().rfind(|incarnation| incarnation.channel == channel.to_bytes())
}

/// How often books that don't add up are read again: a charge is on disk a moment before it is told.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

async fn reconcile(
    operator: &Operator,
    incarnation: Incarnation,
) -> Result<Option<(Session, Reconciliation)>, Response> {
    let mut found = reconcile_once(operator, incarnation).await?;
    for _ in 1..LOOKS {
        if found.as_ref().is_none_or(|(_, reconciliation)| reconciliation.adds_up) {
            break;
        }
        sleep(BETWEEN_LOOKS).await;
        found = reconcile_once(operator, incarnation).await?;
    }
    Ok(found)
}

async fn reconcile_once(
    operator: &Operator,
    incarnation: Incarnation,
) -> Result<Option<(Session, Reconciliation)>, Response> {
    // before and after: charges go on in between
    let before =
        operator.0.service.session_as_seen(&incarnation).map_or(Amount::ZERO, |session| finished(&session));
    let asked = read(&operator.0.history, move |history| {
        history.flush();
        history.sums(&incarnation)
    });
    let sums = asked.await?;
    let session = operator.0.service.session(&incarnation).await;
    // one that is gone is held against what is remembered of it
    let session = session.filter(|session| session.state != SessionState::Gone);
    Ok(session.map(|session| {
        let reconciliation = of_session(&session, before, sums);
        (session, reconciliation)
    }))
}

pub(super) async fn session(State(operator): State<Operator>, Path(channel): Path<String>) -> Response {
    let Ok(address) = channel.parse::<Address>() else {
        return plain(StatusCode::BAD_REQUEST, "NOT_AN_ADDRESS", "a channel is a base58 address of 32 bytes");
    };
    let asked = channel.clone();
    let remembered = read(&operator.0.history, move |history| {
        let charges = history.charges(Some(&asked), None, SOME)?;
        Ok((charges, history.transfers(Some(&asked), None, SOME)?, history.remembered(&asked)?))
    });
    let (charges, transfers, remembered) = match remembered.await {
        Ok(remembered) => remembered,
        Err(response) => return response,
    };
    let live = newest(&operator, &address);
    let found = match live {
        Some(incarnation) => match reconcile(&operator, incarnation).await {
            Ok(found) => found,
            Err(response) => return response,
        },
        None => None,
    };
    match (found, remembered) {
        (Some((session, reconciliation)), remembered) => answer(&json!({
            "session": session, "reconciliation": reconciliation, "charges": charges, "transfers": transfers,
            "remembered": remembered,
        })),
        (None, Some(gone)) => {
            let incarnation = Incarnation { channel: address.to_bytes(), opened_slot: gone.opened_slot };
            let sums = match read(&operator.0.history, move |history| history.sums(&incarnation)).await {
                Ok(sums) => sums,
                Err(response) => return response,
            };
            answer(&json!({
                "session": null, "reconciliation": of_gone(&gone, sums), "charges": charges, "transfers": transfers,
                "remembered": gone,
            }))
        }
        (None, None) => {
            plain(StatusCode::NOT_FOUND, "NO_SUCH_CHANNEL", "this service has never served that channel")
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    channel: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn charges(
    State(Operator(operator)): State<Operator>,
    Query(asked): Query<Asked>,
) -> Response {
    let found = read(&operator.history, move |history| {
        history.flush();
        history.charges(asked.channel.as_deref(), asked.before, asked.limit.unwrap_or(SOME))
    });
    found.await.map_or_else(|response| response, |charges| answer(&json!({"charges": charges})))
}

pub(super) async fn transfers(
    State(Operator(operator)): State<Operator>,
    Query(asked): Query<Asked>,
) -> Response {
    let found = read(&operator.history, move |history| {
        history.flush();
        let limit = asked.limit.unwrap_or(SOME);
        Ok((history.transfers(asked.channel.as_deref(), asked.before, limit)?, history.gone(limit)?))
    });
    let answered = |(transfers, gone)| answer(&json!({"transfers": transfers, "closed": gone}));
    found.await.map_or_else(|response| response, answered)
}

#[derive(Deserialize)]
pub(super) struct Periods {
    period: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
}

pub(super) async fn analytics(
    State(Operator(operator)): State<Operator>,
    Query(asked): Query<Periods>,
) -> Response {
    let by_day = match asked.period.as_deref() {
        None | Some("hour") => false,
        Some("day") => true,
        Some(_) => return plain(StatusCode::BAD_REQUEST, "NOT_A_PERIOD", "period is hour or day"),
    };
    let to = asked.to.unwrap_or(i64::MAX);
    let from = asked.from.unwrap_or_else(|| now().saturating_sub(MONTH));
    let found = read(&operator.history, move |history| {
        history.flush();
        history.periods(by_day, from, to)
    });
    found.await.map_or_else(|response| response, |periods| answer(&json!({"periods": periods})))
}

pub(super) async fn reconciliation(State(operator): State<Operator>, Query(page): Query<Page>) -> Response {
    let all = operator.0.service.incarnations();
    let (offset, total) = (page.offset.unwrap_or_default(), all.len());
    let mut found = Vec::new();
    for incarnation in all.into_iter().skip(offset).take(page.limit()) {
        match reconcile(&operator, incarnation).await {
            Ok(one) => found.extend(one.map(|(_, reconciliation)| reconciliation)),
            Err(response) => return response,
        }
    }
    let adds_up = found.iter().all(|one| one.adds_up);
    answer(&json!({"channels": found, "adds_up": adds_up, "total": total, "offset": offset}))
}

/// Whether a signed receipt is this service's.
pub(super) async fn verify(
    State(Operator(operator)): State<Operator>,
    Json(receipt): Json<Value>,
) -> Response {
    let recipient = operator.recipient.to_bytes();
    if let Ok(proof) = serde_json::from_value::<SignedMeteringProof>(receipt.clone()) {
        let valid = verify_metering_proof(&proof, &recipient);
        let charged = charged_to(&operator.service, &proof);
        return answer(&json!({
            "kind": "metering_proof", "valid": valid, "owed": proof.owed, "charged_now": charged,
            "is_newest": valid && charged == Some(proof.owed),
        }));
    }
    if let Ok(statement) = serde_json::from_value::<SignedCloseStatement>(receipt) {
        let valid = verify_close_statement(&statement, &recipient);
        return answer(&json!({"kind": "close_statement", "valid": valid, "owed": statement.owed_total}));
    }
    let message = "send a metering proof or a close statement, as the service's endpoints give them out";
    plain(StatusCode::BAD_REQUEST, "NOT_A_RECEIPT", message)
}

/// What the books say of a proof's signer.
fn charged_to(service: &amp_sdk::server::AmpService, proof: &SignedMeteringProof) -> Option<Amount> {
    let signer = Address::from(proof.signer.0).to_string();
    let all = service.incarnations();
    let of_channel = all.iter().filter(|incarnation| incarnation.channel == proof.channel.0);
    let mut sessions = of_channel.filter_map(|incarnation| service.session_as_seen(incarnation));
    sessions.find_map(|session| {
        let found = session.signers.into_iter().find(|one| one.signer == signer && one.epoch == proof.epoch);
        found.map(|one| one.spent)
    })
}
