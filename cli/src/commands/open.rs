use amp_sdk::client::{ChannelRecord, ClientError, Quote};
use clap::Args;
use serde_json::json;

use crate::confirm::confirm;
use crate::exit::{Exit, failure};
use crate::limits::{Limits, Offer, Payer};
use crate::moment::span;
use crate::output::{self, Lines, during};
use crate::settings::Settings;

use super::discover::price;
use super::target::{origin, record_json};

/// Opens a channel to a service, so that the first call pays at once. Where there is one, it stays.
#[derive(Args)]
pub(crate) struct Open {
    /// A URL of the service: the route that will be called most, as its price sets the usual deposit.
    url: String,
    #[command(flatten)]
    limits: Limits,
}

/// What an opening does, for whoever is asked.
pub(crate) fn plan(url: &str, offer: &Offer, quote: &Quote) -> String {
    let mut lines = Lines::default();
    let document = &quote.document;
    lines
        .add("  pays", document.recipient.to_string())
        .add(
            "  deposit",
            format!("{}; what is not spent comes back at the close", offer.token.text(quote.deposit)),
        )
        .add("  price", price(quote.pricing.mode, quote.pricing.rate(), |amount| offer.token.text(amount)))
        .add(
            "  grace",
            format!(
                "{}: so long can a service that is gone hold the rest",
                span(document.min_close_grace.into())
            ),
        )
        .add("  network", format!("{}; rent and fees are paid in SOL", document.network));
    format!("Open a channel to {}:\n{}", origin(url), lines.text())
}

impl Open {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let payer = self.limits.payer(settings, &self.url, false).await?;
        let offer = payer.offer(&self.url)?;
        let quote = payer.client.quote(&self.url).await.map_err(|error| payer.explain(error))?;
        let is_new = quote.channel.is_none();
        let record = match is_new {
            true => {
                let said = plan(&self.url, offer, &quote);
                agreed(&payer, &self.url, &quote, &said, settings.common.yes).await?
            }
            false => prepare(&payer, &self.url).await?,
        };
        let mut value = record_json(&record);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("opened".to_owned(), json!(is_new));
        }
        let done = if is_new { "opened" } else { "open already" };
        let deposited = offer.token.text(record.ledger.deposited);
        let text = format!("{done}: channel {} to {}, {deposited} deposited", record.channel, record.origin);
        output::print(settings.common.json, &value, &text);
        Ok(())
    }
}

/// Asks, and opens where there is no channel yet. What was agreed to must still be what would be done: an answer may
/// take its time.
pub(crate) async fn agreed(
    payer: &Payer,
    url: &str,
    quote: &Quote,
    said: &str,
    yes: bool,
) -> anyhow::Result<ChannelRecord> {
    confirm(said, yes)?;
    match payer.client.quote(url).await {
        Ok(now) if now.deposit == quote.deposit && now.document == quote.document => {}
        // what was within the limits a moment ago is not any more
        Ok(_) | Err(ClientError::Policy(_)) => {
            let text = format!("{} has changed its terms meanwhile; look at them again", origin(url));
            return Err(failure(Exit::Failed, text));
        }
        Err(error) => return Err(payer.explain(error)),
    }
    prepare(payer, url).await
}

/// Opens, and says so while it takes time.
async fn prepare(payer: &Payer, url: &str) -> anyhow::Result<ChannelRecord> {
    let opened = during("opening a channel", payer.client.prepare(url)).await;
    opened.map_err(|error| payer.explain(error))
}
