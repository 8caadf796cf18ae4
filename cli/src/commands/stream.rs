pub(crate) mod socket;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::pin::pin;

use amp_gateway::stop_signal;
use amp_sdk::client::{ClientError, Response};
use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::exit::{Exit, failure};
use crate::limits::{Limits, Payer};
use crate::output::{self, during};
use crate::settings::Settings;
use crate::token::Token;

use super::call::{OutputFile, agree, paid, payment_json, reckoned};
use super::request::RequestOptions;

/// Reads an answer that is paid for while it comes, by the byte, the second or the unit of work, and signs for more
/// as it reads: up to --max-price in all. Every piece is printed when it comes. Ctrl-C ends it: what has come is
/// charged, nothing else. With --json each piece is a line, and what it cost is the last one. A WebSocket (ws://,
/// wss://) is opened, sent what --data has, and read: each message a line.
#[derive(Args)]
pub(crate) struct Stream {
    #[command(flatten)]
    request: RequestOptions,
    /// Write what comes to this file; on a terminal, what has come is shown meanwhile.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Of a WebSocket: end after so many messages.
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// Add to the deposit when it is used up, within the limits. --yes allows it, too.
    #[arg(long)]
    top_up: bool,
    #[command(flatten)]
    limits: Limits,
}

/// How a stream ended.
enum End {
    Complete,
    Interrupted,
    Failed(ClientError),
}

impl Stream {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let url = self.request.url.as_str();
        if let Some(http) = socket::by_http(url) {
            return self.socket(settings, url, &http).await;
        }
        let request = self.request.request()?;
        let (yes, as_json) = (settings.common.yes, settings.common.json);
        let payer = self.limits.payer(settings, url, yes || self.top_up).await?;
        agree(&payer, url, yes).await?;
        // before it is paid for what can't be written
        let file = self.output.as_deref().map(OutputFile::open).transpose()?;
        let answer = during("calling", payer.client.execute(request)).await;
        let mut answer = answer.map_err(|error| payer.explain(error))?;
        let (end, bytes) = read(&mut answer, file, as_json).await?;
        let (status, payment) = (answer.status(), answer.payment().copied());
        // what was signed for and did not come is booked when the answer is dropped
        drop(answer);
        let whole = matches!(end, End::Complete).then_some(bytes);
        let payment = reckoned(&payer, url, payment, whole).await;
        let booked = payer.client.flush().await;
        if as_json {
            let last = json!({
                "status": status.as_u16(), "bytes": bytes, "complete": matches!(end, End::Complete),
                "payment": payment.map(|payment| payment_json(&payment)), "token": payer.token().map(Token::json),
            });
            output::line(&last.to_string());
        } else {
            eprintln!("{}", paid(status.as_u16(), payment.as_ref(), payer.token()));
        }
        booked?;
        ended(&payer, end, status)
    }

    async fn socket(&self, settings: &Settings, url: &str, http: &str) -> anyhow::Result<()> {
        let first = self.request.first_message()?;
        if self.output.is_some() {
            return Err(failure(
                Exit::Usage,
                "-o is for answers by HTTP; of a socket, redirect standard output",
            ));
        }
        let yes = settings.common.yes;
        let payer = self.limits.payer(settings, http, yes || self.top_up).await?;
        agree(&payer, http, yes).await?;
        socket::read(&payer, url, first, self.messages, settings.common.json).await
    }
}

async fn read(answer: &mut Response, file: Option<OutputFile>, as_json: bool) -> anyhow::Result<(End, u64)> {
    let mut file = file;
    let mut file = file.as_mut().map(OutputFile::begin).transpose()?;
    let shows_progress = file.is_some() && std::io::stderr().is_terminal();
    let mut bytes = 0_u64;
    // listened for throughout: one that comes while a piece is printed must not be missed, as the next is paid for
    let mut stop = pin!(stop_signal());
    let end = loop {
        let piece = tokio::select! {
            biased;
            () = &mut stop => break End::Interrupted,
            piece = answer.chunk() => piece,
        };
        let piece = match piece {
            Ok(Some(piece)) => piece,
            Ok(None) => break End::Complete,
            Err(error) => break End::Failed(error),
        };
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        match &mut file {
            Some(file) => file.write_all(&piece).context("can't write what came")?,
            None if as_json => output::line(&json!({"data": String::from_utf8_lossy(&piece)}).to_string()),
            None => {
                let mut stdout = std::io::stdout().lock();
                if stdout.write_all(&piece).and_then(|()| stdout.flush()).is_err() {
                    // nobody reads any more: nothing more is bought
                    break End::Interrupted;
                }
            }
        }
        if shows_progress {
            eprint!("\r{bytes} bytes");
        }
    };
    if shows_progress {
        eprintln!();
    }
    Ok((end, bytes))
}

fn ended(payer: &Payer, end: End, status: reqwest::StatusCode) -> anyhow::Result<()> {
    match end {
        End::Failed(error) => Err(payer.explain(error)),
        _ if !status.is_success() => Err(failure(Exit::Status, format!("the service answered {status}"))),
        _ => Ok(()),
    }
}
