//! A channel's life, step by step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amp_sdk::client::{Client, CloseOutcome};
use amp_sdk::protocol::code::Code;
use amp_sdk::protocol::json::ErrorBody;
use amp_sdk::protocol::money::{Amount, Seq};
use amp_sdk::protocol::text::header;
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::Signer;
use anyhow::{Context, bail, ensure};
use futures::StreamExt;
use futures::stream;
use solana_address::Address;

use crate::progress::{bar, step};
use crate::stage::{Holdings, PRICE, SETTLE_INTERVAL, Stage};

/// What happened.
pub(crate) struct Story {
    pub(crate) calls: u64,
    pub(crate) paying: Duration,
    pub(crate) agent: [Holdings; 2],
    pub(crate) recipient: [Holdings; 2],
    pub(crate) vault_at_most: u64,
    pub(crate) vault_after: u64,
}

pub(crate) async fn live(stage: &Stage, calls: u64, parallel: u32) -> anyhow::Result<Story> {
    let both = || [&stage.agent, &stage.recipient].map(|person| stage.holdings(&person.public_key()));
    let before = both();

    refused_without_a_credential(stage).await?;
    let first = calls.saturating_mul(6).div_euclid(10);
    let second = calls.saturating_sub(first);
    let client = client(stage, calls, first, parallel).await?;

    let started = Instant::now();
    // a fifth of the first part one after the other, the rest in parallel
    let alone = first.div_euclid(5).max(1);
    pay(stage, &client, alone, 1, "one by one ").await?;
    step("the first call discovered the service, checked its price and opened the channel");
    pay(stage, &client, first.saturating_sub(alone), parallel, "in parallel").await?;
    let mut paying = started.elapsed();

    let (channel, epoch, seq) = session(&client, stage).await?;
    replay_is_refused(stage, &channel, epoch, seq).await?;
    // more than is needed, so that something is left to refund
    let more = cost_of(second.saturating_add(spare(calls)));
    client.top_up(&stage.origin, more).await.context("the top-up")?;
    step(&format!("topped up by {more} base units"));

    let vault = amp_sdk::chain::channel(&stage.chain, &amp_sdk::chain::PROGRAM_ID, &channel).await?;
    let vault = Address::from(vault.context("the channel is on chain")?.vault);
    let vault_at_most = stage.chain.tokens(&vault).get();
    stage.chain.advance_seconds(SETTLE_INTERVAL);
    stage.service.settle(channel).await.context("the settlement")?;
    step("an hour later: settled, one transaction for everything so far");

    let started = Instant::now();
    pay(stage, &client, second, parallel, "in parallel").await?;
    paying = paying.saturating_add(started.elapsed());

    match client.close(&stage.origin).await.context("the close")? {
        CloseOutcome::Closed { refund, .. } => {
            ensure!(refund == cost_of(spare(calls)), "{refund} base units were refunded");
            step(&format!("closed with the service's statement; {refund} base units are refunded"));
        }
        other => bail!("the service did not agree to a cooperative close: {other:?}"),
    }
    let [agent, recipient] = both();
    Ok(Story {
        calls,
        paying,
        agent: [before[0], agent],
        recipient: [before[1], recipient],
        vault_at_most,
        vault_after: stage.chain.tokens(&vault).get(),
    })
}

fn cost_of(calls: u64) -> Amount {
    Amount::new(PRICE.saturating_mul(calls))
}

/// Calls that are deposited for and not made.
fn spare(calls: u64) -> u64 {
    calls.div_ceil(10)
}

/// An agent with a deposit for the first part of the calls.
async fn client(stage: &Stage, calls: u64, first: u64, parallel: u32) -> anyhow::Result<Client> {
    let all = cost_of(calls.saturating_add(spare(calls)));
    Ok(Client::builder()
        .funder(stage.agent.clone())
        .authorized_signer(stage.hot_key.clone())
        .chain(Arc::new(stage.chain.clone()))
        .allow_mint(stage.mint.address)
        .max_price_per_call(Amount::new(PRICE))
        .max_deposit(all)
        .total_budget(Some(all))
        .deposit(cost_of(first))
        .rate_limit(all)
        .auto_top_up(false)
        .in_flight_limit(parallel)
        .store(stage.folder.path().join("client.db"))
        .build()
        .await?)
}

async fn refused_without_a_credential(stage: &Stage) -> anyhow::Result<()> {
    let answer = reqwest::get(&stage.url).await?;
    let pricing =
        answer.headers().get(header::PRICING).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let text = format!("a call without credentials: {}, {pricing}", answer.status());
    ensure!(answer.status() == 402, "expected 402: {text}");
    step(&text);
    Ok(())
}

async fn pay(
    stage: &Stage,
    client: &Client,
    calls: u64,
    parallel: u32,
    label: &'static str,
) -> anyhow::Result<()> {
    let bar = bar(calls, label);
    let width = usize::try_from(parallel)?;
    let mut answers = stream::iter(0..calls).map(|_| client.get(&stage.url)).buffer_unordered(width);
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        let payment = *answer.payment().context("the call was not paid for")?;
        ensure!(payment.cost == Some(Amount::new(PRICE)), "the call cost {:?} base units", payment.cost);
        ensure!(answer.text().await? == "42", "the service gave another answer");
        bar.inc(1);
    }
    bar.finish_and_clear();
    step(&format!("{calls} paid calls {}", label.trim()));
    Ok(())
}

/// Channel, epoch and last seq of the one session there is.
async fn session(client: &Client, stage: &Stage) -> anyhow::Result<(Address, u64, Seq)> {
    let channels = client.channels().await?;
    let found = channels.into_iter().find(|channel| channel.origin == stage.origin);
    let session = found.context("the client has a channel")?;
    Ok((session.channel, session.opened_slot, session.ledger.last_signed))
}

/// Somebody overheard a request and sends it again.
async fn replay_is_refused(stage: &Stage, channel: &Address, epoch: u64, seq: Seq) -> anyhow::Result<()> {
    let credential = sign_credential(&stage.hot_key, channel, epoch, seq).await?;
    let answer = reqwest::Client::new()
        .get(&stage.url)
        .header(header::CHANNEL, credential.channel.to_string())
        .header(header::SEQ, credential.seq.to_string())
        .header(header::SIG, credential.sig.to_string())
        .send()
        .await?;
    let status = answer.status();
    let body: ErrorBody = answer.json().await?;
    ensure!(body.error == Code::InvalidSeq, "a replayed request was answered with {status} {body:?}");
    step(&format!("a replayed request: {status}, {}", body.error));
    Ok(())
}
