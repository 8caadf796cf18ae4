//! What happens, in order.

use amp_sdk::client::{CloseOutcome, Reclaimed};
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::SubChannel;
use amp_sdk::signer::Signer;
use anyhow::{Context, bail, ensure};

use crate::ledger::Ledger;
use crate::town::{GPU, INTERVAL, Town};

/// Answers that cost the inference service nothing: what it earns first.
const SMALL: u64 = 20;
/// Answers for which it pays the GPU service.
const LARGE: u64 = 10;
/// What it chains: for two answers more than it will need.
const CHAINED: u64 = 12 * GPU;

pub(crate) async fn tell(town: &Town) -> anyhow::Result<Ledger> {
    let (inference, gpu) = (&town.inference, &town.gpu);
    say(&format!(
        "agent -> inference {} -> GPU {}; books in {}",
        inference.origin,
        gpu.origin,
        town.folder().display()
    ));
    let small = format!("{}/small", inference.origin);
    for _ in 0..SMALL {
        ensure!(town.agent.get(&small).await?.text().await? == "about 40", "another answer");
    }
    say(&format!("the agent opened a channel and paid for {SMALL} answers of the small model"));

    let channels = town.agent.channels().await?;
    let upstream = channels.first().context("the agent has a channel")?.channel;
    town.chain.advance_seconds(INTERVAL);
    let terms = SubChannel::for_service(&gpu.service.discovery(), Amount::new(CHAINED));
    let chained = inference.service.chain(&upstream, terms).await.context("chaining")?;
    say(&format!(
        "inference chained {} base units of what it is owed: channel {}",
        chained.deposit, chained.channel
    ));

    town.buyer.use_channel(&gpu.origin, chained.channel).await.context("the buyer takes up the channel")?;
    let large = format!("{}/large", inference.origin);
    for _ in 0..LARGE {
        ensure!(town.agent.get(&large).await?.text().await? == "42", "another answer");
    }
    say(&format!(
        "{LARGE} answers of the large model: the agent pays inference, inference pays the GPU for each"
    ));

    town.chain.advance_seconds(INTERVAL);
    let earned = gpu.service.settle(chained.channel).await.context("the GPU settles")?.paid;
    say(&format!("the GPU service settled {earned} base units"));
    let outcome = town.agent.close(&inference.origin).await.context("the agent closes")?;
    let CloseOutcome::Closed { refund, payout, .. } = outcome else { bail!("not closed: {outcome:?}") };
    say(&format!("the agent closed its channel: {payout} to inference, {refund} back"));

    let below = town.agent.chained_channels().await?;
    ensure!(below.len() == 1 && below[0].0 == chained.channel, "the agent finds what was chained: {below:?}");
    let Reclaimed::Requested { .. } = town.agent.reclaim(&chained.channel).await? else {
        bail!("the grace comes first")
    };
    town.chain.advance_seconds(below[0].1.terms.close_grace);
    let Reclaimed::Closed { refund, .. } = town.agent.reclaim(&chained.channel).await? else {
        bail!("closable after the grace")
    };
    say(&format!(
        "after the grace the agent reclaimed {refund} base units that the GPU service had not earned"
    ));

    let [agent, inference, gpu] =
        [&town.agent_key, &inference.key, &gpu.key].map(|key| town.tokens(&key.public_key()));
    Ok(Ledger { small: SMALL, large: LARGE, chained: CHAINED, agent, inference, gpu })
}

fn say(text: &str) {
    eprintln!("  {text}");
}
