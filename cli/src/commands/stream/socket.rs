//! A socket that is paid for while it is open.

use std::io::Write;
use std::pin::pin;

use amp_gateway::stop_signal;
use amp_sdk::client::{Message, PaidSocket};
use amp_sdk::protocol::money::Amount;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::limits::Payer;
use crate::output::{self, during};
use crate::token::Token;

/// Whether a URL is a socket's; and the same by HTTP, which channels are kept by.
pub(crate) fn by_http(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => Some(format!("http://{rest}")),
        "wss" => Some(format!("https://{rest}")),
        _ => None,
    }
}

/// Opens the socket, sends what there is to send, and prints what comes: each message a line.
pub(super) async fn read(
    payer: &Payer,
    url: &str,
    first: Option<Vec<u8>>,
    most: Option<u64>,
    as_json: bool,
) -> anyhow::Result<()> {
    let opened = during("opening a socket", payer.client.connect(url)).await;
    let mut socket = opened.map_err(|error| payer.explain(error))?;
    if let Some(first) = first {
        let message =
            String::from_utf8(first).map_or_else(|error| Message::Binary(error.into_bytes()), Message::Text);
        socket.send(message).await.map_err(|error| payer.explain(error))?;
    }
    let mut count = 0_u64;
    let ended = messages(&mut socket, &mut count, most, as_json).await;
    let payment = socket.payment().copied();
    // also where it broke off: what came is charged, and booked
    let closed = socket.close().await;
    payer.client.flush().await?;
    ended.map_err(|error| payer.explain(error))?;
    let receipt = closed.map_err(|error| payer.explain(error))?;
    if as_json {
        let last = json!({
            "messages": count, "token": payer.token().map(Token::json),
            "payment": receipt.zip(payment).map(|(receipt, payment)| json!({
                "channel": payment.channel.to_string(), "cost": receipt.cost, "spent": receipt.spent,
                "balance": receipt.balance,
            })),
        });
        output::line(&last.to_string());
        return Ok(());
    }
    let text =
        |amount: Amount| payer.token().map_or_else(|| format!("{amount}u"), |token| token.text(amount));
    let cost = receipt.map_or_else(
        || "free".to_owned(),
        |receipt| {
            format!(
                "cost {}, spent {} in all, {} left",
                text(receipt.cost),
                text(receipt.spent),
                text(receipt.balance)
            )
        },
    );
    eprintln!("{count} messages: {cost}");
    Ok(())
}

async fn messages(
    socket: &mut PaidSocket,
    count: &mut u64,
    most: Option<u64>,
    as_json: bool,
) -> Result<(), amp_sdk::client::ClientError> {
    let mut stop = pin!(stop_signal());
    while most.is_none_or(|most| *count < most) {
        let message = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            message = socket.recv() => message?,
        };
        let Some(message) = message else { return Ok(()) };
        *count = count.saturating_add(1);
        let mut line = match (message, as_json) {
            (Message::Text(text), false) => text.into_bytes(),
            (Message::Binary(bytes), false) => bytes,
            (Message::Text(text), true) => json!({"text": text}).to_string().into_bytes(),
            (Message::Binary(bytes), true) => {
                json!({"base64": BASE64_STANDARD.encode(bytes)}).to_string().into_bytes()
            }
        };
        line.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
            // nobody reads any more: nothing more is bought
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_paid_from_the_channel_of_the_same_host_by_http() {
        assert_eq!(by_http("wss://a.example/x").as_deref(), Some("https://a.example/x"));
        assert_eq!(by_http("ws://a.example").as_deref(), Some("http://a.example"));
        assert_eq!(by_http("WSS://a.example").as_deref(), Some("https://a.example"));
        assert_eq!(by_http("https://a.example"), None);
    }
}
