use amp_sdk::chain::{self, Chain as _};
use amp_sdk::client::{ChannelRecord, ChannelState, Client};
use amp_sdk::protocol::account::{ChannelAccount, DelegationAccount};
use amp_sdk::protocol::json::ChannelStatus;
use amp_sdk::protocol::money::Amount;
use clap::Args;
use serde_json::{Value, json};
use solana_address::Address;

use crate::exit::{Exit, failure};
use crate::moment::{span, utc};
use crate::output::{self, Lines, table};
use crate::settings::Settings;
use crate::token::Token;

use super::list::{account_json, delegation_json, delegation_life, life};
use super::target::{Target, record_json, state};

/// Shows a channel as all three have it: the chain, this agent's store, and its service, whose signed receipt is
/// checked. A channel that the store does not know is shown as the chain has it; no key is needed for that.
#[derive(Args)]
pub(crate) struct Show {
    /// A URL of the service, or the channel's address.
    target: Target,
    /// Don't ask the service.
    #[arg(long)]
    offline: bool,
}

/// All that is known of a channel.
struct Known {
    address: Address,
    record: Option<ChannelRecord>,
    account: Option<ChannelAccount>,
    delegations: Option<Vec<(Address, DelegationAccount)>>,
    status: Option<Result<ChannelStatus, String>>,
    token: Option<Token>,
    now: i64,
}

impl Show {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let known = self.look(settings).await?;
        let found_nothing = known.record.is_none() && known.account.is_none();
        if found_nothing {
            let text =
                format!("there is no channel {}: never opened on this cluster, or closed", known.address);
            return Err(failure(Exit::NotFound, text));
        }
        output::print(settings.common.json, &known.json(), &known.text());
        Ok(())
    }

    async fn look(&self, settings: &Settings) -> anyhow::Result<Known> {
        // a channel's address needs no key
        let client = match (&self.target, settings.keypair()) {
            (Target::Channel(_), Err(_)) => None,
            (_, Err(error)) => return Err(error),
            (_, Ok(_)) => Some(settings.keeper().await?),
        };
        let record = match (&self.target, &client) {
            (Target::Service(_), Some(client)) => Some(self.target.known_record(client).await?),
            (Target::Channel(_), Some(client)) => self.target.record(client).await?,
            (_, None) => None,
        };
        let address = match (&self.target, &record) {
            (Target::Channel(channel), _) => *channel,
            (_, Some(record)) => record.channel,
            (Target::Service(url), None) => {
                return Err(failure(Exit::NotFound, format!("no channel to {url}")));
            }
        };
        let (chain, program_id) = (&*settings.chain, &settings.program_id().await?);
        let account = chain::channel(chain, program_id, &address).await?;
        let mint = record.as_ref().map(|record| record.mint);
        let mint = mint.or_else(|| account.as_ref().map(|account| Address::from(account.mint)));
        let token = match mint {
            Some(mint) => Token::read(chain, &mint).await.ok(),
            None => None,
        };
        let has_delegates = account.as_ref().is_some_and(|account| account.delegated_slot != 0);
        let delegations = match has_delegates {
            // not every node searches
            true => chain::delegations(chain, program_id, &address).await.ok(),
            false => Some(Vec::new()),
        };
        let status = match (&client, &record) {
            (Some(client), Some(record)) if !self.offline && record.state == ChannelState::Open => {
                Some(ask(client, record).await)
            }
            _ => None,
        };
        // what is charged was acknowledged by the answer
        let record = match (&client, record) {
            (Some(client), Some(_)) => self.target.record(client).await?,
            (_, record) => record,
        };
        let now = chain.clock().await?.unix_timestamp;
        Ok(Known { address, record, account, delegations, status, token, now })
    }
}

async fn ask(client: &Client, record: &ChannelRecord) -> Result<ChannelStatus, String> {
    client.status(&record.origin).await.map_err(|error| error.to_string())
}

impl Known {
    fn json(&self) -> Value {
        let status = self.status.as_ref().map(|status| match status {
            Ok(status) => json!(status),
            Err(error) => json!({"error": error}),
        });
        let delegations = self.delegations.as_ref().map(|all| {
            all.iter().map(|(address, account)| delegation_json(address, account)).collect::<Vec<_>>()
        });
        json!({
            "channel": self.address.to_string(),
            "token": self.token.as_ref().map(Token::json),
            "chain": self.account.as_ref().map(|account| account_json(&self.address, account)),
            "delegations": delegations,
            "store": self.record.as_ref().map(record_json),
            "service": status,
        })
    }

    fn text(&self) -> String {
        let text = |amount: Amount| {
            self.token.as_ref().map_or_else(|| format!("{amount}u"), |token| token.text(amount))
        };
        let mut lines = Lines::default();
        lines.add("channel", self.address.to_string());
        match &self.account {
            None => drop(lines.add("on chain", "gone: it was closed, or its opening is not confirmed yet")),
            Some(account) => self.on_chain(&mut lines, account, text),
        }
        if let Some(record) = &self.record {
            lines
                .add("service", format!("{} ({} in this store)", record.origin, state(record.state)))
                .add(
                    "signed",
                    format!("seq {}, {}", record.ledger.last_signed, text(record.ledger.signed_for())),
                )
                .add("spent", format!("{} as the service said", text(record.ledger.acknowledged)));
            if record.state == ChannelState::Closed {
                lines.add("refunded", text(record.refunded));
            }
        }
        match &self.status {
            None => {}
            Some(Err(error)) => drop(lines.add("service says", format!("nothing: {error}"))),
            Some(Ok(status)) => {
                let says = format!("{} spent, {} left", text(status.spent), text(status.balance));
                lines.add("service says", says);
                if let Some(proof) = &status.metering_proof {
                    let receipt =
                        format!("{} for {} calls, signed and checked", text(proof.owed), proof.calls);
                    lines.add("receipt", receipt);
                }
            }
        }
        let mut all = lines.text();
        let delegations = self.delegations.iter().flatten();
        let mut rows = table(&["delegate", "state", "limit", "claimed"]);
        for (_, account) in delegations {
            rows.add_row([
                Address::from(account.delegate).to_string(),
                delegation_life(account, self.now),
                text(account.delegation.limit),
                text(account.delegation.signer.claimed),
            ]);
        }
        if !rows.is_empty() {
            all = format!("{all}\n{rows}");
        }
        if self.delegations.is_none() {
            all.push_str("\nit has delegates, which this node does not search for");
        }
        all
    }

    fn on_chain(&self, lines: &mut Lines, account: &ChannelAccount, text: impl Fn(Amount) -> String) {
        let key = |key: [u8; 32]| Address::from(key).to_string();
        let (books, terms) = (&account.books, &account.terms);
        lines
            .add("state", life(account, self.now))
            .add("funder", key(account.funder))
            .add("recipient", key(account.recipient));
        if account.authorized_signer != account.funder {
            lines.add("signer", key(account.authorized_signer));
        }
        lines
            .add("opened", utc(account.opened_at))
            .add("deposited", text(books.deposited))
            .add("claimed", text(books.claimed))
            .add("left", text(books.balance().unwrap_or(Amount::ZERO)))
            .add(
                "terms",
                format!(
                    "{} a seq; at most {} settled every {}; close grace {}",
                    text(Amount::new(terms.unit_price)),
                    text(terms.rate_limit()),
                    span(terms.settle_interval.into()),
                    span(terms.close_grace.into())
                ),
            );
        if account.chain_depth > 0 {
            lines.add("chained below", key(account.parent));
        }
    }
}
