//! Three parties and one deposit. An agent pays an inference service for each answer; the inference
//! service pays a GPU service for each, out of what the agent owes it, without ever holding the money:
//! part of the agent's deposit is chained into a channel that the inference service signs for. What
//! the GPU service does not earn goes back to the agent. Real bytecode on an embedded chain, real HTTP.
//!
//! `make demo-chain`. Exits non-zero where the money does not add up.

mod ledger;
mod story;
mod town;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let town = town::Town::build().await?;
    let ledger = story::tell(&town).await?;
    println!("{ledger}");
    ledger.check()
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn three_parties_settle_out_of_one_deposit_to_the_base_unit() {
        let town = super::town::Town::build().await.unwrap();
        super::story::tell(&town).await.unwrap().check().unwrap();
    }
}
