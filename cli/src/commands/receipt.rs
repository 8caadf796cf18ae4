use amp_sdk::chain;
use amp_sdk::protocol::json::{SignedCloseStatement, SignedMeteringProof};
use amp_sdk::protocol::money::Amount;
use amp_sdk::signed::{verify_close_statement, verify_metering_proof};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use solana_address::Address;

use crate::credential::given;
use crate::exit::{Exit, failure};
use crate::moment::utc;
use crate::output::{self, Lines};
use crate::settings::Settings;
use crate::token::Token;

use super::target::Target;

/// What a service signed.
#[derive(Subcommand)]
pub(crate) enum Receipt {
    /// Check a metering proof or a close statement: whether the recipient signed it, and what it says.
    Verify(Verify),
    /// Fetch a service's receipt for what this agent spent, checked; to keep, and to verify later.
    Get(Get),
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The JSON of the proof or statement, or of an answer that holds one; @FILE, or - for standard input.
    receipt: String,
    /// Who must have signed it. Default: the recipient of its channel, by the chain.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<Address>,
}

#[derive(Args)]
pub(crate) struct Get {
    /// A URL of the service, or the channel's address.
    target: Target,
}

/// One of the two that a recipient signs.
pub(crate) enum Signed {
    Proof(SignedMeteringProof),
    Statement(SignedCloseStatement),
}

impl Signed {
    /// The proof or statement in a JSON value, or in the answer of a service around it.
    pub(crate) fn find(value: &Value) -> Option<Self> {
        let within = |names: [&str; 2]| names.into_iter().find_map(|name| value.get(name));
        let proof = within(["metering_proof", "meteringProof"]).unwrap_or(value);
        let statement = within(["close_statement", "closeStatement"]).unwrap_or(value);
        let proof = serde_json::from_value(proof.clone()).map(Self::Proof);
        proof.or_else(|_| serde_json::from_value(statement.clone()).map(Self::Statement)).ok()
    }

    pub(crate) fn channel(&self) -> Address {
        Address::from(match self {
            Self::Proof(proof) => proof.channel.0,
            Self::Statement(statement) => statement.channel.0,
        })
    }

    pub(crate) fn is_signed_by(&self, recipient: &Address) -> bool {
        match self {
            Self::Proof(proof) => verify_metering_proof(proof, &recipient.to_bytes()),
            Self::Statement(statement) => verify_close_statement(statement, &recipient.to_bytes()),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Proof(_) => "metering proof",
            Self::Statement(_) => "close statement",
        }
    }

    /// What it says, for people.
    fn lines(&self, text: impl Fn(Amount) -> String) -> Lines {
        let mut lines = Lines::default();
        lines.add("channel", self.channel().to_string());
        match self {
            Self::Proof(proof) => lines
                .add("signer", proof.signer.to_string())
                .add("owed", text(proof.owed))
                .add("calls", proof.calls.to_string())
                .add("from", utc(proof.period_start))
                .add("to", utc(proof.period_end))
                .add("seqs", format!("{} to {}", proof.seq_start, proof.seq_end)),
            Self::Statement(statement) => lines
                .add("opened", format!("in slot {}", statement.opened_slot))
                .add("owed in all", text(statement.owed_total)),
        };
        lines
    }

    fn json(&self) -> Value {
        match self {
            Self::Proof(proof) => json!(proof),
            Self::Statement(statement) => json!(statement),
        }
    }
}

impl Receipt {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        match self {
            Self::Verify(verify) => verify.run(settings).await,
            Self::Get(get) => get.run(settings).await,
        }
    }
}

impl Verify {
    async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let value: Option<Value> = serde_json::from_str(&given(&self.receipt)?).ok();
        let none =
            || failure(Exit::Usage, "not a receipt: give the JSON of a metering proof or a close statement");
        let signed = value.as_ref().and_then(Signed::find).ok_or_else(none)?;
        let channel = signed.channel();
        let account = match self.recipient {
            // whoever names the recipient needs no cluster
            Some(_) => None,
            None => chain::channel(&*settings.chain, &settings.program_id().await?, &channel).await?,
        };
        let recipient =
            self.recipient.or_else(|| account.as_ref().map(|found| Address::from(found.recipient)));
        let recipient = recipient.ok_or_else(|| {
            let text = format!(
                "channel {channel} is not on this cluster (any more); say by --recipient who must have signed"
            );
            failure(Exit::NotFound, text)
        })?;
        let token = match &account {
            Some(account) => Token::read(&*settings.chain, &Address::from(account.mint)).await.ok(),
            None => None,
        };
        let text = |amount| token.as_ref().map_or_else(|| format!("{amount}u"), |token| token.text(amount));
        if !signed.is_signed_by(&recipient) {
            let text =
                format!("FALSE: {recipient} did not sign this {} for channel {channel}", signed.kind());
            return Err(failure(Exit::Invalid, text));
        }
        let stale = account.as_ref().and_then(|account| match &signed {
            Signed::Statement(statement) if statement.opened_slot != account.opened_slot => {
                Some("it is of an earlier channel at this address: no use on chain")
            }
            _ => None,
        });
        let mut lines = signed.lines(text);
        lines.add("signed by", format!("{recipient}: TRUE"));
        if let Some(stale) = stale {
            lines.add("note", stale);
        }
        let value = json!({
            "valid": true, "kind": signed.kind(), "recipient": recipient.to_string(), "note": stale,
            "receipt": signed.json(),
        });
        let said = format!("{}\n{}", signed.kind(), lines.text());
        output::print(settings.common.json, &value, &said);
        Ok(())
    }
}

impl Get {
    async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let client = settings.keeper().await?;
        let record = self.target.known_record(&client).await?;
        let status = client.status(&record.origin).await?;
        let none = || {
            failure(
                Exit::NotFound,
                format!("{} has charged nothing yet, so it signed nothing", record.origin),
            )
        };
        let proof = status.metering_proof.ok_or_else(none)?;
        // what is kept is what was signed: JSON for people and scripts alike
        output::json(&json!(proof));
        Ok(())
    }
}
