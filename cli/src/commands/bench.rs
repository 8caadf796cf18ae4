use std::time::{Duration, Instant};

use amp_sdk::client::{ClientError, PolicyError};
use amp_sdk::protocol::money::Amount;
use clap::Args;
use futures::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Url;
use serde_json::json;

use crate::confirm::confirm;
use crate::exit::{Exit, failure};
use crate::limits::Limits;
use crate::output::{self, Lines};
use crate::settings::Settings;
use crate::token::Token;

use super::open::{agreed, plan};

/// Pays for many GET calls of a URL, and says how fast they were and what they cost. Real money: it asks first, and
/// spends no more than the limits allow.
#[derive(Args)]
pub(crate) struct Bench {
    /// What to call.
    url: Url,
    /// How many calls.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    calls: u64,
    /// How many of them at once. The SDK's client has at most 32 under way, or what the service remembers seqs for.
    #[arg(long, short = 'c', value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=32))]
    concurrency: u32,
    #[command(flatten)]
    limits: Limits,
}

/// What came of the calls.
#[derive(Default)]
struct Tally {
    latencies: Vec<Duration>,
    cost: Amount,
    failed: u64,
    first_failure: Option<String>,
}

impl Bench {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let url = self.url.as_str();
        let yes = settings.common.yes;
        let scout = self.limits.payer(settings, url, yes).await?;
        let offer = scout.offer(url)?;
        let token = &offer.token;
        let quote = scout.client.quote(url).await.map_err(|error| scout.explain(error))?;
        let each =
            if quote.pricing.is_metered() { self.limits.max_price(token)? } else { quote.pricing.rate };
        let total = each
            .checked_mul(self.calls)
            .ok_or_else(|| failure(Exit::Usage, "so many calls cost more than 64 bits hold"))?;
        let mut said = format!("Make {} calls of {url}, for up to {} in all.", self.calls, token.text(total));
        if quote.channel.is_none() && !each.is_zero() {
            said = format!("{said}\n{}", plan(url, offer, &quote));
        }
        // what is said is the most that they can cost together, whatever the service asks for meanwhile
        let payer = self.limits.at_no_more(settings, url, yes, offer.clone(), each).await?;
        match each.is_zero() {
            true => confirm(&said, yes)?,
            // opening is not part of what is measured
            false => drop(agreed(&payer, url, &quote, &said, yes).await?),
        }
        let bar = bar(self.calls);
        let width = usize::try_from(self.concurrency)?;
        let started = Instant::now();
        let calls = stream::iter(0..self.calls).map(|_| timed(&payer, url));
        let tally = calls
            .buffer_unordered(width)
            .fold(Tally::default(), |tally, call| {
                bar.inc(1);
                std::future::ready(tally.with(call))
            })
            .await;
        bar.finish_and_clear();
        let took = started.elapsed();
        // what was paid is told, whatever becomes of the books
        let booked = payer.client.flush().await;
        self.report(settings, token, tally, took)?;
        Ok(booked?)
    }

    fn report(
        &self,
        settings: &Settings,
        token: &Token,
        mut tally: Tally,
        took: Duration,
    ) -> anyhow::Result<()> {
        tally.latencies.sort_unstable();
        let answered = tally.latencies.len();
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = u64::try_from(answered).unwrap_or(u64::MAX).saturating_mul(1_000).div_euclid(millis);
        let [p50, p99] = [50, 99].map(|percent| percentile(&tally.latencies, percent).as_micros());
        let cost = tally.cost;
        let value = json!({
            "url": self.url.as_str(), "calls": self.calls, "concurrency": self.concurrency, "answered": answered,
            "failed": tally.failed, "milliseconds": millis, "calls_per_second": per_second,
            "p50_microseconds": p50, "p99_microseconds": p99, "cost": cost, "token": token.json(),
        });
        let mut lines = Lines::default();
        lines
            .add("answered", format!("{answered} of {}, {} at once", self.calls, self.concurrency))
            .add("took", format!("{millis} ms, {per_second} calls a second"))
            .add("p50, p99", format!("{p50} \u{b5}s, {p99} \u{b5}s"))
            .add("cost", token.text(cost));
        output::print(settings.common.json, &value, &lines.text());
        match tally.first_failure {
            None => Ok(()),
            Some(first) => {
                Err(failure(Exit::Failed, format!("{} calls failed; the first: {first}", tally.failed)))
            }
        }
    }
}

impl Tally {
    fn with(mut self, (call, cost): (Result<Duration, String>, Amount)) -> Self {
        // what the service says: shown, and not relied upon
        self.cost = self.cost.checked_add(cost).unwrap_or(Amount::MAX);
        match call {
            Ok(latency) => self.latencies.push(latency),
            Err(error) => {
                self.failed = self.failed.saturating_add(1);
                self.first_failure.get_or_insert(error);
            }
        }
        self
    }
}

/// One call, to its last byte, and what it cost: an answer that is no success or breaks off may be charged too.
async fn timed(payer: &crate::limits::Payer, url: &str) -> (Result<Duration, String>, Amount) {
    let begun = Instant::now();
    let explain = |error| match error {
        // the limit here is what was agreed to, and no option's
        ClientError::Policy(PolicyError::Price { price, max }) => {
            let text = |amount: Amount| {
                payer.token().map_or_else(|| format!("{amount}u"), |token| token.text(amount))
            };
            format!("a call costs up to {} by now, {} was agreed to", text(price), text(max))
        }
        other => payer.explain(other).to_string(),
    };
    let mut answer = match payer.client.get(url).await {
        Ok(answer) => answer,
        Err(error) => return (Err(explain(error)), Amount::ZERO),
    };
    let ended = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(begun.elapsed()),
            Err(error) => break Err(explain(error)),
        }
    };
    let (status, payment) = (answer.status(), answer.payment());
    let cost = payment.and_then(|payment| payment.cost).unwrap_or(Amount::ZERO);
    match status.is_success() {
        true => (ended, cost),
        false => (Err(format!("the service answered {status}")), cost),
    }
}

/// Of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

fn bar(calls: u64) -> ProgressBar {
    let bar = ProgressBar::new(calls);
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {pos}/{len} calls, {per_sec}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let all: Vec<_> = (1..=10).map(Duration::from_millis).collect();
        assert_eq!(percentile(&all, 50), Duration::from_millis(5));
        assert_eq!(percentile(&all, 99), Duration::from_millis(10));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
