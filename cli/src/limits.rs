//! What may be spent, and on whom: the agent's policy on the command line.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amp_sdk::client::{Client, ClientBuilder, ClientError, DiscoveryFailure, Policy, PolicyError};
use amp_sdk::protocol::json::DiscoveryDocument;
use amp_sdk::protocol::money::Amount;
use clap::Args;
use solana_address::Address;

use crate::amount::TokenAmount;
use crate::exit::{Exit, failure};
use crate::explain::explained;
use crate::settings::Settings;
use crate::token::{Token, mint_called, usual_mint};

/// The limits of one command. Amounts are of the token that the service takes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// A mint that may be paid with, or its name (USDC, USDT). Default: USDC.
    #[arg(long = "mint", env = "AMP_MINT", value_name = "MINT", value_delimiter = ',')]
    mints: Vec<String>,
    /// Most that one call may cost; of a stream, the whole of it.
    #[arg(long, env = "AMP_MAX_PRICE", value_name = "AMOUNT", default_value = "0.1")]
    max_price: TokenAmount,
    /// Most that one channel may hold.
    #[arg(long, env = "AMP_MAX_DEPOSIT", value_name = "AMOUNT", default_value = "1")]
    max_deposit: TokenAmount,
    /// Most that all channels of the store may take together, ever.
    #[arg(long, env = "AMP_BUDGET", value_name = "AMOUNT", default_value = "10")]
    budget: TokenAmount,
    /// What a new channel, and each top-up, deposits. Default: a thousand calls, within --max-deposit.
    #[arg(long, env = "AMP_DEPOSIT", value_name = "AMOUNT")]
    deposit: Option<TokenAmount>,
    /// Longest close grace: so long could a service that is gone hold a refund.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1d")]
    max_grace: Duration,
    /// Pay services without TLS that are not on this machine.
    #[arg(long)]
    allow_insecure: bool,
    /// Spend from this channel of another funder's, who has delegated to this key.
    #[arg(long, env = "AMP_CHANNEL", value_name = "ADDRESS", conflicts_with_all = ["deposit", "hot_key"])]
    channel: Option<Address>,
}

/// A client that pays one service, and the token it pays in.
pub(crate) struct Payer {
    pub(crate) client: Client,
    /// `None`: the URL is of no service that takes AMP, so nothing will be paid.
    pub(crate) offer: Option<Offer>,
}

/// What a service takes.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) document: Arc<DiscoveryDocument>,
    pub(crate) token: Token,
}

impl Payer {
    /// An error in the words of this token.
    pub(crate) fn explain(&self, error: ClientError) -> anyhow::Error {
        explained(&error, self.token()).into()
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.offer.as_ref().map(|offer| &offer.token)
    }

    /// The offer, where there must be one.
    pub(crate) fn offer(&self, url: &str) -> anyhow::Result<&Offer> {
        let none = || {
            failure(
                Exit::Service,
                format!("{url} is of no service that takes AMP: it has no discovery document"),
            )
        };
        self.offer.as_ref().ok_or_else(none)
    }
}

impl Limits {
    /// The client for a service. `top_up`: whether it may add to a deposit by itself.
    pub(crate) async fn payer(&self, settings: &Settings, url: &str, top_up: bool) -> anyhow::Result<Payer> {
        let mints = self.mints(&settings.network().await?)?;
        // amounts are in tokens, so the token must be known before the limits are
        let scout = self.begin(settings).await?.build().await?;
        let document = match scout.discovery(url).await {
            Ok(document) => document,
            Err(ClientError::Discovery { reason: DiscoveryFailure::Status(_), .. }) => {
                return Ok(Payer { client: scout, offer: None });
            }
            Err(error) => return Err(error.into()),
        };
        let mint = Address::from(document.pricing.default.token.0);
        if !mints.contains(&mint) {
            let mint = document.pricing.default.token;
            return Err(ClientError::Policy(PolicyError::Mint { mint }).into());
        }
        let token = Token::read(&*settings.chain, &mint).await?;
        let offer = Offer { document, token };
        let policy = self.policy(&offer)?;
        self.paying(settings, url, top_up, offer, policy).await
    }

    /// The same client where no call may cost more than this: so that what was agreed to for all of them is the most
    /// that they can cost, whatever becomes of the price.
    pub(crate) async fn at_no_more(
        &self,
        settings: &Settings,
        url: &str,
        top_up: bool,
        offer: Offer,
        price: Amount,
    ) -> anyhow::Result<Payer> {
        let policy = self.policy(&offer)?;
        let max_price_per_call = policy.max_price_per_call.min(price);
        self.paying(settings, url, top_up, offer, Policy { max_price_per_call, ..policy }).await
    }

    async fn begin(&self, settings: &Settings) -> anyhow::Result<ClientBuilder> {
        match self.channel {
            Some(_) => settings.delegates_builder().await,
            None => settings.funders_builder().await,
        }
    }

    fn policy(&self, offer: &Offer) -> anyhow::Result<Policy> {
        let token = &offer.token;
        Ok(Policy {
            max_price_per_call: self.max_price.of(token)?,
            max_deposit: self.max_deposit.of(token)?,
            total_budget: Some(self.budget.of(token)?),
            // another that is allowed has other decimals: what was said in this one would not bound it
            allowed_mints: BTreeSet::from([token.mint]),
            max_close_grace: u32::try_from(self.max_grace.as_secs()).unwrap_or(u32::MAX),
            allow_insecure: self.allow_insecure,
            ..Policy::default()
        })
    }

    async fn paying(
        &self,
        settings: &Settings,
        url: &str,
        top_up: bool,
        offer: Offer,
        policy: Policy,
    ) -> anyhow::Result<Payer> {
        let builder = self.begin(settings).await?;
        let mut builder = builder.policy(policy).auto_open(settings.common.yes).auto_top_up(top_up);
        if let Some(deposit) = &self.deposit {
            builder = builder.deposit(deposit.of(&offer.token)?);
        }
        let payer = Payer { client: builder.build().await?, offer: Some(offer) };
        if let Some(channel) = self.channel {
            payer.client.use_channel(url, channel).await.map_err(|error| payer.explain(error))?;
        }
        Ok(payer)
    }

    /// Most that one call may cost.
    pub(crate) fn max_price(&self, token: &Token) -> anyhow::Result<Amount> {
        self.max_price.of(token)
    }

    fn mints(&self, network: &str) -> anyhow::Result<BTreeSet<Address>> {
        if self.mints.is_empty() {
            return Ok(usual_mint(network).into_iter().collect());
        }
        let named = self.mints.iter().map(|text| {
            let mint = text.parse().ok().or_else(|| mint_called(text, network));
            mint.ok_or_else(|| {
                failure(
                    Exit::Usage,
                    format!("--mint {text}: neither an address nor a known token of {network}"),
                )
            })
        });
        named.collect()
    }
}
