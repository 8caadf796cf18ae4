//! Where a scenario takes place: a mint of its own, people who hold it, services; and the books of who has what.

mod money;
mod shop;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use amp_sdk::chain::{
    Chain, ComputeBudget, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, associated_token_address, create_token_account,
};
use amp_sdk::client::{Client, ClientBuilder, CloseOutcome};
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer};
use anyhow::{Context, bail, ensure};
use solana_address::Address;
use solana_system_interface::instruction::{create_account, transfer};
use spl_token_2022_interface::instruction as token;
use tempfile::TempDir;

pub(crate) use shop::Shop;

use crate::cluster::Cluster;

/// Base units of a call.
pub(crate) const PRICE: u64 = 250;
/// What each agent has at first, in base units.
pub(crate) const TOKENS: u64 = 1_000_000;
/// Of a channel, in base units: twenty calls.
pub(crate) const DEPOSIT: u64 = 20 * PRICE;
/// Seconds between settlements.
pub(crate) const INTERVAL: u32 = 3;
/// Seconds of close grace.
pub(crate) const GRACE: u32 = 12;

const MINT_BYTES: u64 = 82;
/// For rent and fees: a person needs less.
const LAMPORTS: u64 = 20_000_000;

/// See the module.
pub(crate) struct Town<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) mint: Address,
    pub(crate) token_program: Address,
    folder: TempDir,
    people: Mutex<Vec<Address>>,
}

impl<'a> Town<'a> {
    /// With an SPL Token mint.
    pub(crate) async fn found(cluster: &'a Cluster) -> anyhow::Result<Self> {
        Self::with_mint_of(cluster, TOKEN_PROGRAM).await
    }

    /// With a Token-2022 mint.
    pub(crate) async fn found_with_token_2022(cluster: &'a Cluster) -> anyhow::Result<Self> {
        Self::with_mint_of(cluster, TOKEN_2022_PROGRAM).await
    }

    async fn with_mint_of(cluster: &'a Cluster, token_program: Address) -> anyhow::Result<Self> {
        let (key, payer) = (KeypairSigner::generate(), cluster.payer.public_key());
        let mint = key.public_key();
        let rent = cluster.rpc.get_minimum_balance_for_rent_exemption(usize::try_from(MINT_BYTES)?).await?;
        let instructions = vec![
            create_account(&payer, &mint, rent, MINT_BYTES, &token_program),
            token::initialize_mint2(&token_program, &mint, &payer, None, 6)?,
        ];
        cluster.transact(instructions, &[&key], ComputeBudget::settle()).await.context("the mint")?;
        let (folder, people) = (tempfile::tempdir()?, Mutex::default());
        Ok(Self { cluster, mint, token_program, folder, people })
    }

    // -- people ---------------------------------------------------------------------------------------

    /// Somebody with lamports, a token account, and so many tokens.
    pub(crate) async fn person(&self, tokens: u64) -> anyhow::Result<KeypairSigner> {
        self.settler(tokens, LAMPORTS).await
    }

    /// Somebody with tokens and not a single lamport.
    pub(crate) async fn person_without_lamports(&self, tokens: u64) -> anyhow::Result<KeypairSigner> {
        self.settler(tokens, 0).await
    }

    async fn settler(&self, tokens: u64, lamports: u64) -> anyhow::Result<KeypairSigner> {
        let (person, payer) = (KeypairSigner::generate(), self.cluster.payer.public_key());
        let key = person.public_key();
        let account = self.account_of(&key);
        let mut instructions = vec![create_token_account(&payer, &key, &self.mint, &self.token_program)];
        if tokens > 0 {
            instructions.push(token::mint_to(
                &self.token_program,
                &self.mint,
                &account,
                &payer,
                &[],
                tokens,
            )?);
        }
        if lamports > 0 {
            instructions.push(transfer(&payer, &key, lamports));
        }
        let budget = ComputeBudget::settle().with_token_accounts(1);
        self.cluster.transact(instructions, &[], budget).await.context("somebody's tokens")?;
        self.people.lock().map_err(|_| anyhow::anyhow!("a panic"))?.push(key);
        Ok(person)
    }

    /// Somebody's token account.
    pub(crate) fn account_of(&self, person: &Address) -> Address {
        associated_token_address(person, &self.mint, &self.token_program)
    }

    /// A path for somebody's books.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The beginnings of a client of this town; it has no keys yet.
    pub(crate) fn client(&self, chain: Arc<dyn Chain>, books: &str) -> ClientBuilder {
        Client::builder()
            .chain(chain)
            .program_id(self.cluster.program_id)
            .network(self.cluster.network.clone())
            .allow_mint(self.mint)
            .store(self.file(books))
    }

    /// An agent with tokens, and its client on the cluster's own node.
    pub(crate) async fn agent(&self) -> anyhow::Result<(KeypairSigner, Client)> {
        self.agent_on(self.cluster.chain.clone()).await
    }

    /// The same on another node.
    pub(crate) async fn agent_on(&self, chain: Arc<dyn Chain>) -> anyhow::Result<(KeypairSigner, Client)> {
        let key = self.person(TOKENS).await?;
        let books = format!("{}.db", key.public_key());
        let client = self.client(chain, &books).funder(key.clone()).deposit(Amount::new(DEPOSIT));
        Ok((key, client.build().await?))
    }
}

/// A call that must be answered, and cost its price.
pub(crate) async fn buy(client: &Client, url: &str) -> anyhow::Result<()> {
    let answer = client.get(url).await?;
    ensure!(answer.status() == 200, "{}: {}", answer.status(), answer.text().await?);
    let cost = answer.payment().and_then(|payment| payment.cost);
    ensure!(cost == Some(Amount::new(PRICE)), "it cost {cost:?}");
    Ok(())
}

/// So many calls.
pub(crate) async fn buy_many(client: &Client, url: &str, calls: u64) -> anyhow::Result<()> {
    for _ in 0..calls {
        buy(client, url).await?;
    }
    Ok(())
}

/// The address of an agent's only open channel.
pub(crate) async fn channel_of(client: &Client) -> anyhow::Result<Address> {
    let channels = client.channels().await?;
    let [channel] = &channels[..] else { bail!("{} channels", channels.len()) };
    Ok(channel.channel)
}

/// What came of a close that must have closed: refund and payout, in base units.
pub(crate) fn closed(outcome: &CloseOutcome) -> anyhow::Result<(u64, u64)> {
    match outcome {
        CloseOutcome::Closed { refund, payout, .. } => Ok((refund.get(), payout.get())),
        other => bail!("it is not closed: {other:?}"),
    }
}
