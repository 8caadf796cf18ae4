//! What happens, as it happens.

use std::convert::Infallible;

use amp_sdk::server::{MoneyEvent, MoneyKind};
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, stream};
use serde_json::{Value, json};
use solana_address::Address;
use tokio::sync::broadcast::error::RecvError;

use super::Operator;

pub(super) async fn charges(
    State(operator): State<Operator>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let live = operator.0.history.live();
    let events = stream::unfold(live, |mut live| async move {
        let event = match live.recv().await {
            Ok(event) => named(&event),
            // a reader that is slow misses some, and is told
            Err(RecvError::Lagged(missed)) => ("missed", json!({"missed": missed})),
            Err(RecvError::Closed) => return None,
        };
        let event = Event::default().event(event.0).data(event.1.to_string());
        Some((Ok(event), live))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn named(event: &MoneyEvent) -> (&'static str, Value) {
    let (at, slot) = (event.at, event.incarnation.opened_slot);
    let channel = Address::from(event.incarnation.channel).to_string();
    let signed = |transaction: Option<solana_signature::Signature>| transaction.map(|it| it.to_string());
    match event.kind {
        MoneyKind::Charged { signer, seq, cost, .. } => (
            "charged",
            json!({"at": at, "channel": channel, "opened_slot": slot, "signer": signer.to_string(), "seq": seq, "cost": cost}),
        ),
        MoneyKind::Settled { signer, paid, transaction } => (
            "settled",
            json!({"at": at, "channel": channel, "opened_slot": slot, "who": signer.to_string(), "paid": paid, "signature": signed(transaction)}),
        ),
        MoneyKind::Chained { into, paid, transaction } => (
            "chained",
            json!({"at": at, "channel": channel, "opened_slot": slot, "who": into.to_string(), "paid": paid, "signature": signed(transaction)}),
        ),
        MoneyKind::Gone => ("gone", json!({"at": at, "channel": channel, "opened_slot": slot})),
    }
}
