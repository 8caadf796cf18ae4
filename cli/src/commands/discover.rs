use std::time::Duration;

use amp_sdk::protocol::json::{DiscoveryDocument, PricingMode};
use amp_sdk::protocol::money::Amount;
use amp_sdk::protocol::rate::Rate;
use amp_sdk::protocol::text::path;
use clap::Args;
use solana_address::Address;

use crate::exit::{Exit, failure};
use crate::moment::span;
use crate::output::{self, Lines, table};
use crate::settings::{Common, Settings};
use crate::token::Token;

/// Asks a service for its discovery document. Nothing is paid and no key is needed. Prices are in tokens where
/// the cluster can be asked about the mint, else in base units.
#[derive(Args)]
pub(crate) struct Discover {
    /// Any URL of the service.
    url: reqwest::Url,
}

/// A rate for people: what it is, and for how much of what.
pub(crate) fn price(mode: PricingMode, rate: Rate, text: impl Fn(Amount) -> String) -> String {
    if rate.amount.is_zero() {
        return "free".to_owned();
    }
    let (one, many) = match mode {
        PricingMode::PerCall => ("call", "calls"),
        PricingMode::PerSecond => ("second", "seconds"),
        PricingMode::PerByte => ("byte", "bytes"),
        PricingMode::PerCompute => ("unit of work", "units of work"),
    };
    match rate.per.get() {
        1 => format!("{} a {one}", text(rate.amount)),
        per => format!("{} for {per} {many}", text(rate.amount)),
    }
}

impl Discover {
    pub(crate) async fn run(&self, common: &Common) -> anyhow::Result<()> {
        let document = self.fetch().await?;
        if common.json {
            output::json(&serde_json::to_value(&document)?);
            return Ok(());
        }
        let default = &document.pricing.default;
        let mint = Address::from(default.token.0);
        let token = match Settings::read(common.clone()) {
            Ok(settings) => Token::read(&*settings.chain, &mint).await.ok(),
            Err(_) => None,
        };
        let text = |amount| token.as_ref().map_or_else(|| format!("{amount}u"), |token| token.text(amount));
        let mut lines = Lines::default();
        lines
            .add("pays", document.recipient.to_string())
            .add("in", token.as_ref().map_or_else(|| format!("mint {mint}"), Token::name))
            .add("on", document.network.clone())
            .add("program", document.program_id.to_string())
            .add("least deposit", text(default.min_deposit))
            .add("settles every", span(default.settle_interval.into()))
            .add("close grace", format!("{} or more", span(document.min_close_grace.into())));
        output::line(&lines.text());
        let mut prices = table(&["what", "costs"]);
        for (prefix, rate) in &document.pricing.routes {
            let rate_of = Rate { amount: rate.rate, per: rate.per };
            prices.add_row([prefix.clone(), price(rate.mode, rate_of, text)]);
        }
        for (name, rate) in &document.pricing.tools {
            let rate_of = Rate { amount: rate.rate, per: rate.per };
            prices.add_row([format!("tool {name}"), price(rate.mode, rate_of, text)]);
        }
        prices.add_row(["all else".to_owned(), price(default.mode, default.rate(), text)]);
        output::line(&prices.to_string());
        Ok(())
    }

    async fn fetch(&self) -> anyhow::Result<DiscoveryDocument> {
        const TIMEOUT: Duration = Duration::from_secs(30);
        let url = self.url.join(path::DISCOVERY)?;
        let unreachable =
            |error: reqwest::Error| failure(Exit::Unreachable, format!("{url} does not answer: {error}"));
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let answer = http.get(url.clone()).send().await.map_err(unreachable)?;
        let status = answer.status();
        if !status.is_success() {
            let text = format!("{url} answered {status}: this is no AMP service, or its path is another");
            return Err(failure(Exit::Service, text));
        }
        let bytes = answer.bytes().await.map_err(unreachable)?;
        DiscoveryDocument::parse(&bytes).map_err(|error| failure(Exit::Service, format!("{url}: {error}")))
    }
}
