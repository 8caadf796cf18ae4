use amp_sdk::protocol::json::DiscoveryDocument;
use amp_sdk::protocol::text::path;
use anyhow::{Context, ensure};
use clap::Args;

use crate::output::{json, table};

/// Asks a service for its discovery document. Nothing is paid and no key is needed.
#[derive(Args)]
pub(crate) struct Discover {
    /// Any URL of the service.
    url: reqwest::Url,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Discover {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let url = self.url.join(path::DISCOVERY)?;
        let answer = reqwest::get(url.clone()).await.with_context(|| format!("{url} does not answer"))?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "{url} answered {status}: this is no AMP service, or its path is another"
        );
        let document = DiscoveryDocument::parse(&answer.bytes().await?).with_context(|| url.to_string())?;
        if self.json {
            return json(&serde_json::to_value(&document)?);
        }
        let default = &document.pricing.default;
        println!("recipient        {}", document.recipient);
        println!("program          {}", document.program_id);
        println!("network          {}", document.network);
        println!("token            {}", default.token);
        println!("minimum deposit  {} base units", default.min_deposit);
        println!("settle interval  {} s", default.settle_interval);
        println!("close grace      {} s or more", document.min_close_grace);
        let mut prices = table(&["path", "mode", "base units"]);
        let mode = |mode| serde_json::to_value(mode).ok().and_then(|mode| mode.as_str().map(str::to_owned));
        for (prefix, rate) in &document.pricing.routes {
            prices.add_row([prefix.clone(), mode(rate.mode).unwrap_or_default(), rate.rate.to_string()]);
        }
        prices.add_row([
            "all else".to_owned(),
            mode(default.mode).unwrap_or_default(),
            default.rate.to_string(),
        ]);
        println!("{prices}");
        Ok(())
    }
}
