use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amp_sdk::client::{Payment, Response};
use amp_sdk::protocol::json::PricingMode;
use amp_sdk::protocol::money::Amount;
use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::exit::{Exit, failure};
use crate::limits::{Limits, Payer};
use crate::output::{self, during};
use crate::settings::Settings;
use crate::token::Token;

use super::open::{agreed, plan};
use super::request::RequestOptions;
use super::target::origin;

/// Calls a URL and pays for it if it asks for that. The answer goes to standard output, what it cost to standard
/// error. Where there is no channel one is opened, after asking. An answer is paid for even where its status is an
/// error: the service did the work.
#[derive(Args)]
pub(crate) struct Call {
    #[command(flatten)]
    request: RequestOptions,
    /// Write the answer's body to this file.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the status line and the headers before the body.
    #[arg(long, short = 'i')]
    include: bool,
    /// Add to the deposit when it is used up, within the limits. --yes allows it, too.
    #[arg(long)]
    top_up: bool,
    #[command(flatten)]
    limits: Limits,
}

/// Asks before a channel is opened for a call of this URL. A channel that is open was agreed to when it was opened,
/// and a call from it by --max-price.
pub(crate) async fn agree(payer: &Payer, url: &str, yes: bool) -> anyhow::Result<()> {
    let Some(offer) = &payer.offer else { return Ok(()) };
    let quote = payer.client.quote(url).await.map_err(|error| payer.explain(error))?;
    let opens = quote.channel.is_none() && !quote.pricing.rate.is_zero() && !quote.deposit.is_zero();
    if opens {
        agreed(payer, url, &quote, &plan(url, offer, &quote), yes).await?;
    }
    Ok(())
}

impl Call {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let url = self.request.url.as_str();
        let request = self.request.request()?;
        let yes = settings.common.yes;
        let payer = self.limits.payer(settings, url, yes || self.top_up).await?;
        agree(&payer, url, yes).await?;
        // before it is paid for what can't be written
        let file = self.output.as_deref().map(OutputFile::open).transpose()?;
        let answer = during("calling", payer.client.execute(request)).await;
        let answer = answer.map_err(|error| payer.explain(error))?;
        self.show(&payer, answer, file, settings.common.json).await
    }

    async fn show(
        &self,
        payer: &Payer,
        mut answer: Response,
        file: Option<OutputFile>,
        as_json: bool,
    ) -> anyhow::Result<()> {
        let status = answer.status();
        let headers = answer.headers().clone();
        let mut body = Vec::new();
        // by pieces: what a metered answer cost is known at its end
        while let Some(piece) = answer.chunk().await.map_err(|error| payer.explain(error))? {
            body.extend_from_slice(&piece);
        }
        if let Some(mut file) = file {
            file.begin()?.write_all(&body).context("can't write the answer")?;
        }
        let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let payment =
            reckoned(payer, self.request.url.as_str(), answer.payment().copied(), Some(bytes)).await;
        // what was paid for is given out, whatever becomes of the books
        let booked = payer.client.flush().await;
        if as_json {
            let shown: Map<String, Value> = headers
                .iter()
                .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
                .collect();
            let mut value = json!({
                "status": status.as_u16(), "headers": shown,
                "payment": payment.map(|payment| payment_json(&payment)), "token": payer.token().map(Token::json),
            });
            if let (None, Some(fields)) = (&self.output, value.as_object_mut()) {
                let (name, text) = match String::from_utf8(body) {
                    Ok(text) => ("body", text),
                    Err(error) => ("body_base64", BASE64_STANDARD.encode(error.as_bytes())),
                };
                fields.insert(name.to_owned(), json!(text));
            }
            output::json(&value);
        } else {
            if self.include {
                output::line(&format!("HTTP {status}"));
                for (name, value) in &headers {
                    output::line(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
                }
                output::line("");
            }
            if self.output.is_none() {
                // a reader that has gone away is no error: it is paid for all the same
                let _ = std::io::stdout().write_all(&body);
                // what it cost stands on a line of its own
                if std::io::stdout().is_terminal() && !body.ends_with(b"\n") {
                    let _ = std::io::stdout().write_all(b"\n");
                }
                let _ = std::io::stdout().flush();
            }
            eprintln!("{}", paid(status.as_u16(), payment.as_ref(), payer.token()));
        }
        booked?;
        if status.is_success() {
            return Ok(());
        }
        Err(failure(Exit::Status, format!("the service answered {status}")))
    }
}

/// How often and how long a service is given to book what it has sent.
const LOOKS: u32 = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A file that is there to be written before anything is paid, and emptied only when something comes.
pub(crate) struct OutputFile(File);

impl OutputFile {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().write(true).create(true).truncate(false).open(path);
        Ok(Self(file.with_context(|| format!("can't create {}", path.display()))?))
    }

    /// The file, empty.
    pub(crate) fn begin(&mut self) -> anyhow::Result<&mut File> {
        self.0.set_len(0).context("can't empty the output file")?;
        Ok(&mut self.0)
    }
}

/// A payment with what the answer itself could not say: one with a length has no trailers, and one that was left has
/// no end. What all calls have cost so far the service says by its signed status; what an answer by the byte has, its
/// length, if it is `whole`.
pub(crate) async fn reckoned(
    payer: &Payer,
    url: &str,
    payment: Option<Payment>,
    whole: Option<u64>,
) -> Option<Payment> {
    let mut payment = payment?;
    let (None, Some(offer)) = (payment.spent, &payer.offer) else { return Some(payment) };
    let path = url.parse::<reqwest::Url>().map_or_else(|_| String::new(), |url| url.path().to_owned());
    let pricing = offer.document.pricing.for_route(&path);
    if pricing.mode == PricingMode::PerByte {
        payment.cost = whole.and_then(|bytes| pricing.rate().cost(bytes));
    }
    let expected = expected(payer, url, &payment).await;
    for look in 0..LOOKS {
        tokio::time::sleep(BETWEEN_LOOKS.saturating_mul(look)).await;
        // it is paid for whether or not the service says so
        let Ok(status) = payer.client.status(url).await else { break };
        (payment.spent, payment.balance) = (Some(status.spent), Some(status.balance));
        if status.spent >= expected {
            break;
        }
    }
    Some(payment)
}

/// What the service will say it has charged in all, once it has booked this call. It may do so after the answer's last
/// byte has left.
async fn expected(payer: &Payer, url: &str, payment: &Payment) -> Amount {
    let known = payer.client.channels().await.unwrap_or_default();
    let before =
        known.iter().find(|record| record.channel == payment.channel && record.origin == origin(url));
    let before = before.map_or(Amount::ZERO, |record| record.ledger.acknowledged);
    before.checked_add(payment.cost.unwrap_or(Amount::ZERO)).unwrap_or(Amount::MAX)
}

/// What a call was paid, for people.
pub(crate) fn paid(status: u16, payment: Option<&Payment>, token: Option<&Token>) -> String {
    let Some(payment) = payment else { return format!("{status}: free") };
    let text = |amount: Option<Amount>| match (amount, token) {
        (Some(amount), Some(token)) => token.text(amount),
        (Some(amount), None) => format!("{amount}u"),
        (None, _) => "unknown".to_owned(),
    };
    format!(
        "{status}: cost {}, spent {} in all, {} left; channel {}, seq {}",
        text(payment.cost),
        text(payment.spent),
        text(payment.balance),
        payment.channel,
        payment.seq
    )
}

/// The same for scripts.
pub(crate) fn payment_json(payment: &Payment) -> Value {
    json!({
        "channel": payment.channel.to_string(), "seq": payment.seq, "cost": payment.cost,
        "spent": payment.spent, "balance": payment.balance,
    })
}
