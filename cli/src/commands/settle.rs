use amp_sdk::chain::{self, Settleable, UnsettleableError};
use amp_sdk::signer::Signer as _;
use clap::Args;
use serde_json::json;
use solana_address::Address;

use crate::amount::TokenAmount;
use crate::confirm::confirm;
use crate::credential;
use crate::exit::{Exit, failure};
use crate::moment::utc;
use crate::output::{self, during};
use crate::settings::Settings;
use crate::token::Token;

/// Claims what a credential is worth, by hand: for recipients whose service is gone and who kept its credentials. The
/// key (--keypair) is the recipient's. A service does this by itself.
#[derive(Args)]
pub(crate) struct Settle {
    /// The credential: JSON, or the three AMP headers; @FILE, or - for standard input.
    credential: String,
    /// What its signer owes in all, what was claimed before included: what was metered, at most what is signed for.
    #[arg(long, value_name = "AMOUNT")]
    owed: TokenAmount,
}

impl Settle {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let credential = credential::parse(&credential::given(&self.credential)?)?;
        let recipient = settings.keypair()?;
        let (chain, program_id) = (&*settings.chain, &settings.program_id().await?);
        let channel = Address::from(credential.channel.0);
        let account = chain::channel(chain, program_id, &channel).await?;
        let none =
            || failure(Exit::NotFound, format!("there is no channel {channel} on this cluster (any more)"));
        let token = Token::read(chain, &Address::from(account.ok_or_else(none)?.mint)).await?;
        let owed = self.owed.of(&token)?;
        let own = recipient.public_key();
        let ready =
            Settleable::check(chain, program_id, &own, &credential, owed, settings.priority_fee()).await;
        let ready = ready.map_err(|error| match error {
            UnsettleableError::TooEarly { from } => failure(
                Exit::Chain,
                format!("this signer can be settled from {} on; run it again then", utc(from)),
            ),
            other => other.into(),
        })?;
        let payout = token.text(ready.payout);
        confirm(
            &format!(
                "Claim {payout} from channel {channel} for what {} signed ({} in all), to token account {}.",
                ready.signer,
                token.text(owed),
                ready.payout_token
            ),
            settings.common.yes,
        )?;
        let confirmation = during("settling", ready.send(chain, &*recipient)).await?;
        let value = json!({
            "channel": channel.to_string(), "signer": ready.signer.to_string(), "paid": ready.payout, "owed": owed,
            "token_account": ready.payout_token.to_string(), "transaction": confirmation.signature.to_string(),
        });
        output::print(
            settings.common.json,
            &value,
            &format!("settled: {payout} paid, {}", confirmation.signature),
        );
        Ok(())
    }
}
