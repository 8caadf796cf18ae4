use amp_sdk::chain::{self, RpcChain};
use amp_sdk::client::{ChannelRecord, ChannelState};
use amp_sdk::protocol::account::{ChannelAccount, DelegationAccount};
use amp_sdk::protocol::money::Amount;
use amp_sdk::protocol::rules;
use clap::Args;
use serde_json::{Value, json};
use solana_address::Address;

use crate::moment::{left, utc};
use crate::output::{self, table};
use crate::settings::Settings;
use crate::token::Tokens;

use super::target::{self, record_json, state};

/// Lists channels. Without an option: those that this agent's store knows, with what it signed. With one: those on
/// chain, by a search that not every node answers; without an address it is the own key's.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// Closed ones, too.
    #[arg(long, short = 'a')]
    all: bool,
}

/// Whose channels.
#[derive(Args, Clone)]
#[group(multiple = false)]
pub(crate) struct Whose {
    /// Channels that this key funds.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "own")]
    funder: Option<Key>,
    /// Channels that pay this key.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "own")]
    recipient: Option<Key>,
    /// Delegations to this key.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "own")]
    delegate: Option<Key>,
}

#[derive(Clone, Copy, Debug)]
enum Key {
    Own,
    Other(Address),
}

impl std::str::FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "own" => Ok(Self::Own),
            other => other.parse().map(Self::Other).map_err(|_| "not an address".to_owned()),
        }
    }
}

impl Key {
    fn address(self, settings: &Settings) -> anyhow::Result<Address> {
        match self {
            Self::Own => settings.own_address(),
            Self::Other(address) => Ok(address),
        }
    }
}

/// What was found, as it is.
pub(crate) enum Searched {
    Stored(Vec<ChannelRecord>),
    /// With the party of them that was not searched by.
    Channels(Other, Vec<(Address, ChannelAccount)>),
    Delegations(Vec<(Address, DelegationAccount)>),
}

/// What was found, for scripts and for people.
pub(crate) struct Found {
    pub(crate) value: Value,
    pub(crate) text: String,
}

impl List {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let found = self.whose.find(settings, self.all).await?;
        output::print(settings.common.json, &found.value, &found.text);
        Ok(())
    }
}

impl Whose {
    /// The channels, or the delegations.
    pub(crate) async fn find(&self, settings: &Settings, all: bool) -> anyhow::Result<Found> {
        match self.search(settings, all).await? {
            Searched::Stored(channels) => Ok(stored(settings, &channels).await),
            Searched::Channels(other, found) => on_chain(&settings.chain, other, found).await,
            Searched::Delegations(found) => {
                delegations(&settings.chain, &settings.program_id().await?, found).await
            }
        }
    }

    /// The same as they are.
    pub(crate) async fn search(&self, settings: &Settings, all: bool) -> anyhow::Result<Searched> {
        let whose = match (self.funder, self.recipient, self.delegate) {
            (Some(key), _, _) => (Other::Recipient, key),
            (_, Some(key), _) => (Other::Funder, key),
            (_, _, Some(key)) => {
                let (program_id, key) = (settings.program_id().await?, key.address(settings)?);
                let found = chain::delegations_to(&*settings.chain, &program_id, &key).await?;
                return Ok(Searched::Delegations(found));
            }
            (None, None, None) => {
                let mut channels = settings.bookkeeper().await?.channels().await?;
                channels.retain(|channel| all || channel.state != ChannelState::Closed);
                return Ok(Searched::Stored(channels));
            }
        };
        let (program_id, (other, key)) = (settings.program_id().await?, whose);
        let key = key.address(settings)?;
        let found = match other {
            Other::Recipient => chain::channels_funded_by(&*settings.chain, &program_id, &key).await?,
            Other::Funder => chain::channels_paid_to(&*settings.chain, &program_id, &key).await?,
        };
        Ok(Searched::Channels(other, found))
    }
}

async fn stored(settings: &Settings, channels: &[ChannelRecord]) -> Found {
    let mut tokens = Tokens::new(&*settings.chain);
    let mut rows = table(&["service", "state", "channel", "deposited", "spent", "left", "last seq"]);
    for channel in channels {
        let mint = &channel.mint;
        rows.add_row([
            channel.origin.clone(),
            state(channel.state).to_owned(),
            channel.channel.to_string(),
            tokens.text(mint, channel.ledger.deposited).await,
            tokens.text(mint, channel.ledger.acknowledged).await,
            tokens.text(mint, target::left(channel)).await,
            channel.ledger.last_signed.to_string(),
        ]);
    }
    let text = match channels.is_empty() {
        true => "no channels; `amp open URL` makes one".to_owned(),
        false => rows.to_string(),
    };
    Found { value: channels.iter().map(record_json).collect(), text }
}

/// A channel account for scripts.
pub(crate) fn account_json(address: &Address, account: &ChannelAccount) -> Value {
    let key = |key: [u8; 32]| Address::from(key).to_string();
    json!({
        "channel": address.to_string(), "funder": key(account.funder), "recipient": key(account.recipient),
        "authorized_signer": key(account.authorized_signer), "mint": key(account.mint), "vault": key(account.vault),
        "rent_payer": key(account.rent_payer), "nonce": account.nonce.to_string(),
        "opened_slot": account.opened_slot.to_string(), "opened_at": account.opened_at,
        "deposited": account.books.deposited, "claimed": account.books.claimed,
        "signer_claimed": account.signer.claimed, "last_settled_at": account.signer.last_settled_at,
        "unit_price": account.terms.unit_price.to_string(), "rate_limit": account.terms.rate_limit.to_string(),
        "settle_interval": account.terms.settle_interval, "close_grace": account.terms.close_grace,
        "max_chain_depth": account.terms.max_chain_depth, "chain_depth": account.chain_depth,
        "parent": (account.parent != [0; 32]).then(|| key(account.parent)),
        "closing_at": account.books.closing.then_some(account.closing_at),
        "closable_from": closable_from(account),
    })
}

/// When anybody may close it, if its close was asked for.
pub(crate) fn closable_from(account: &ChannelAccount) -> Option<i64> {
    let from = rules::closable_from(account.closing_at, account.terms.close_grace);
    account.books.closing.then(|| from.unwrap_or(i64::MAX))
}

/// Where a channel is in its life, by the cluster's clock.
pub(crate) fn life(account: &ChannelAccount, now: i64) -> String {
    match closable_from(account) {
        None => "open".to_owned(),
        Some(from) if from <= now => "closable now".to_owned(),
        Some(from) => format!("closable {}", left(from, now)),
    }
}

async fn on_chain(
    chain: &RpcChain,
    other: Other,
    found: Vec<(Address, ChannelAccount)>,
) -> anyhow::Result<Found> {
    use chain::Chain as _;
    let now = chain.clock().await?.unix_timestamp;
    let mut tokens = Tokens::new(chain);
    let mut rows = table(&["channel", other.name(), "state", "deposited", "claimed", "left"]);
    for (address, account) in &found {
        let (mint, books) = (Address::from(account.mint), &account.books);
        rows.add_row([
            address.to_string(),
            other.of(account).to_string(),
            life(account, now),
            tokens.text(&mint, books.deposited).await,
            tokens.text(&mint, books.claimed).await,
            tokens.text(&mint, books.balance().unwrap_or(Amount::ZERO)).await,
        ]);
    }
    let value = found.iter().map(|(address, account)| account_json(address, account)).collect();
    let text = if found.is_empty() { "no channels".to_owned() } else { rows.to_string() };
    Ok(Found { value, text })
}

/// The party of a channel that was not searched by.
#[derive(Clone, Copy)]
pub(crate) enum Other {
    Funder,
    Recipient,
}

impl Other {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Funder => "funder",
            Self::Recipient => "recipient",
        }
    }

    pub(crate) fn of(self, account: &ChannelAccount) -> Address {
        Address::from(match self {
            Self::Funder => account.funder,
            Self::Recipient => account.recipient,
        })
    }
}

/// A delegation account for scripts.
pub(crate) fn delegation_json(address: &Address, account: &DelegationAccount) -> Value {
    let terms = &account.delegation;
    let set = |time: i64| (time != 0).then_some(time);
    json!({
        "delegation": address.to_string(), "channel": Address::from(account.channel).to_string(),
        "delegate": Address::from(account.delegate).to_string(), "limit": terms.limit,
        "claimed": terms.signer.claimed, "last_settled_at": terms.signer.last_settled_at,
        "expires_at": set(terms.expires_at), "revoked_at": set(terms.revoked_at),
        "created_slot": account.created_slot.to_string(),
        "channel_opened_slot": account.channel_opened_slot.to_string(),
    })
}

/// Where a delegation is in its life, by the cluster's clock.
pub(crate) fn delegation_life(account: &DelegationAccount, now: i64) -> String {
    let terms = &account.delegation;
    match (terms.revoked_at, terms.expires_at) {
        (0, 0) => "live, without end".to_owned(),
        (0, at) if at <= now => format!("expired {}", utc(at)),
        (0, at) => format!("live until {}", utc(at)),
        (at, _) => format!("revoked {}", utc(at)),
    }
}

async fn delegations(
    chain: &RpcChain,
    program_id: &Address,
    found: Vec<(Address, DelegationAccount)>,
) -> anyhow::Result<Found> {
    use chain::Chain as _;
    let now = chain.clock().await?.unix_timestamp;
    let addresses: Vec<Address> = found.iter().map(|(_, account)| Address::from(account.channel)).collect();
    let (channels, _) = chain::channels(chain, program_id, &addresses).await?;
    let mut tokens = Tokens::new(chain);
    let mut rows = table(&["channel", "recipient", "state", "limit", "claimed"]);
    for ((_, account), channel) in found.iter().zip(channels) {
        let channel =
            channel.ok().flatten().filter(|channel| channel.opened_slot == account.channel_opened_slot);
        let terms = &account.delegation;
        let (recipient, limit, claimed, state) = match &channel {
            Some(channel) => {
                let mint = Address::from(channel.mint);
                let limit = tokens.text(&mint, terms.limit).await;
                let claimed = tokens.text(&mint, terms.signer.claimed).await;
                (Address::from(channel.recipient).to_string(), limit, claimed, delegation_life(account, now))
            }
            None => {
                let units = |amount: Amount| format!("{amount}u");
                (
                    "-".to_owned(),
                    units(terms.limit),
                    units(terms.signer.claimed),
                    "its channel is gone".to_owned(),
                )
            }
        };
        rows.add_row([Address::from(account.channel).to_string(), recipient, state, limit, claimed]);
    }
    let value = found.iter().map(|(address, account)| delegation_json(address, account)).collect();
    let text = if found.is_empty() { "no delegations".to_owned() } else { rows.to_string() };
    Ok(Found { value, text })
}
