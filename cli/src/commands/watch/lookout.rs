//! Looks at channels, and remembers what the chain showed last.

use std::collections::HashMap;
use std::time::Instant;

use amp_sdk::chain::{self, Chain as _};
use amp_sdk::client::{ChannelRecord, ChannelState};
use amp_sdk::protocol::account::{ChannelAccount, DelegationAccount};
use amp_sdk::protocol::money::Amount;
use solana_address::Address;

use crate::commands::list::{Searched, Whose, closable_from, delegation_life};
use crate::commands::target::state;
use crate::settings::Settings;
use crate::token::Tokens;

use super::view::{Row, View};

const UNKNOWN: &str = "-";

/// Who looks, for whom.
pub(super) struct Lookout<'a> {
    settings: &'a Settings,
    whose: &'a Whose,
    tokens: Tokens<'a>,
    /// The store's channels on chain, as they were seen last.
    accounts: HashMap<Address, ChannelAccount>,
    seen: Option<(Instant, i64)>,
}

impl<'a> Lookout<'a> {
    pub(super) fn new(settings: &'a Settings, whose: &'a Whose) -> Self {
        let tokens = Tokens::new(&*settings.chain);
        Self { settings, whose, tokens, accounts: HashMap::new(), seen: None }
    }

    /// Of what only the chain knows an error where it does not answer; what is in the store is shown all the same.
    pub(super) async fn look(&mut self) -> anyhow::Result<View> {
        match self.whose.search(self.settings, false).await? {
            Searched::Stored(records) => self.stored(records).await,
            Searched::Channels(other, found) => {
                self.time().await?;
                let mut rows = Vec::new();
                for (address, account) in &found {
                    let (deposited, claimed) = self.books(account).await;
                    rows.push(Row {
                        channel: address.to_string(),
                        party: other.of(account).to_string(),
                        deposited,
                        spent: UNKNOWN.to_owned(),
                        claimed,
                        state: life(account).to_owned(),
                        closable_from: closable_from(account),
                    });
                }
                let title = format!("{} channels on {}", rows.len(), self.settings.rpc_url);
                Ok(self.view(title, [other.name(), "deposited"], rows, None))
            }
            Searched::Delegations(found) => self.delegations(found).await,
        }
    }

    async fn stored(&mut self, records: Vec<ChannelRecord>) -> anyhow::Result<View> {
        let trouble = self.look_at_chain(&records).await.err().map(|error| error.to_string());
        let mut rows = Vec::new();
        for record in &records {
            let account = self.accounts.get(&record.channel).cloned();
            let account = account.filter(|account| account.opened_slot == record.opened_slot);
            let claimed = match &account {
                Some(account) => self.books(account).await.1,
                None => UNKNOWN.to_owned(),
            };
            rows.push(Row {
                channel: record.channel.to_string(),
                party: record.origin.clone(),
                deposited: self.tokens.text(&record.mint, record.ledger.deposited).await,
                spent: self.tokens.text(&record.mint, record.ledger.acknowledged).await,
                claimed,
                state: state(record.state).to_owned(),
                closable_from: account.as_ref().and_then(closable_from),
            });
            // the funder may have asked for the close elsewhere
            if let (Some(account), Some(row)) = (account, rows.last_mut())
                && record.state == ChannelState::Open
            {
                row.state = life(&account).to_owned();
            }
        }
        let title = match rows.len() {
            0 => "no channels in this store; `amp open URL` makes one".to_owned(),
            count => format!("{count} channels of this store, {}", self.settings.rpc_url),
        };
        Ok(self.view(title, ["service", "deposited"], rows, trouble))
    }

    async fn look_at_chain(&mut self, records: &[ChannelRecord]) -> anyhow::Result<()> {
        let program_id = self.settings.program_id().await?;
        let addresses: Vec<Address> = records.iter().map(|record| record.channel).collect();
        let (found, _) = chain::channels(&*self.settings.chain, &program_id, &addresses).await?;
        let found = addresses.into_iter().zip(found);
        self.accounts =
            found.filter_map(|(address, account)| Some((address, account.ok().flatten()?))).collect();
        self.time().await?;
        Ok(())
    }

    async fn delegations(&mut self, found: Vec<(Address, DelegationAccount)>) -> anyhow::Result<View> {
        let program_id = self.settings.program_id().await?;
        let addresses: Vec<Address> =
            found.iter().map(|(_, account)| Address::from(account.channel)).collect();
        let (channels, _) = chain::channels(&*self.settings.chain, &program_id, &addresses).await?;
        let now = self.time().await?;
        let mut rows = Vec::new();
        for ((_, account), channel) in found.iter().zip(channels) {
            let live = |channel: &ChannelAccount| channel.opened_slot == account.channel_opened_slot;
            let channel = channel.ok().flatten().filter(live);
            let mint = channel.as_ref().map(|channel| Address::from(channel.mint));
            let terms = &account.delegation;
            rows.push(Row {
                channel: Address::from(account.channel).to_string(),
                party: channel.as_ref().map_or_else(
                    || UNKNOWN.to_owned(),
                    |channel| Address::from(channel.recipient).to_string(),
                ),
                deposited: self.amount(mint.as_ref(), terms.limit).await,
                spent: UNKNOWN.to_owned(),
                claimed: self.amount(mint.as_ref(), terms.signer.claimed).await,
                state: match &channel {
                    Some(_) => delegation_life(account, now),
                    None => "its channel is gone".to_owned(),
                },
                closable_from: channel.as_ref().and_then(closable_from),
            });
        }
        let title = format!("{} delegations on {}", rows.len(), self.settings.rpc_url);
        Ok(self.view(title, ["recipient", "limit"], rows, None))
    }

    fn view(&self, title: String, names: [&'static str; 2], rows: Vec<Row>, trouble: Option<String>) -> View {
        View { title, names, rows, seen: self.seen, trouble }
    }

    /// The cluster's time: with it, a look is complete.
    async fn time(&mut self) -> anyhow::Result<i64> {
        let now = self.settings.chain.clock().await?.unix_timestamp;
        self.seen = Some((Instant::now(), now));
        Ok(now)
    }

    /// What is deposited, and what was claimed of it.
    async fn books(&mut self, account: &ChannelAccount) -> (String, String) {
        let (mint, books) = (Address::from(account.mint), &account.books);
        (self.tokens.text(&mint, books.deposited).await, self.tokens.text(&mint, books.claimed).await)
    }

    async fn amount(&mut self, mint: Option<&Address>, amount: Amount) -> String {
        match mint {
            Some(mint) => self.tokens.text(mint, amount).await,
            None => format!("{amount}u"),
        }
    }
}

/// Where a channel is in its life; how long its close still takes is a column of its own.
fn life(account: &ChannelAccount) -> &'static str {
    if account.books.closing { "closing" } else { "open" }
}
