use clap::Args;

use crate::amount::TokenAmount;
use crate::confirm::confirm;
use crate::exit::{Exit, failure};
use crate::limits::Limits;
use crate::output::{self, during};
use crate::settings::Settings;

use super::target::{Target, record_json};

/// Adds to the deposit of a channel, within the limits. Refunds go to the funder.
#[derive(Args)]
pub(crate) struct TopUp {
    /// A URL of the service, or the channel's address.
    target: Target,
    /// How much to add.
    amount: TokenAmount,
    #[command(flatten)]
    limits: Limits,
}

impl TopUp {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let record = self.target.current_record(&settings.keeper().await?).await?;
        let payer = self.limits.payer(settings, &record.origin, false).await?;
        let token = &payer.offer(&record.origin)?.token;
        if token.mint != record.mint {
            let text = format!(
                "{} takes {} now, and channel {} holds {}; close it, and open another",
                record.origin, token.mint, record.channel, record.mint
            );
            return Err(failure(Exit::Failed, text));
        }
        let amount = self.amount.of(token)?;
        let text = token.text(amount);
        confirm(
            &format!(
                "Add {text} to channel {} to {}, which has {} deposited.",
                record.channel,
                record.origin,
                token.text(record.ledger.deposited)
            ),
            settings.common.yes,
        )?;
        let topped = during("topping up", payer.client.top_up(&record.origin, amount)).await;
        let record = topped.map_err(|error| payer.explain(error))?;
        let deposited = token.text(record.ledger.deposited);
        let text = format!("added {text}: channel {} has {deposited} deposited", record.channel);
        output::print(settings.common.json, &record_json(&record), &text);
        Ok(())
    }
}
