//! A channel's whole life, to the last base unit.

use amp_e2e_tests::{Agent, DEPOSIT, GRACE, INTERVAL, Market, Money, PRICE};
use amp_protocol::code::Code;
use amp_protocol::json::{DiscoveryDocument, Pricing};
use amp_protocol::money::{Amount, Seq, UnitPrice};
use amp_protocol::text::{header, network, path};
use amp_sdk::chain::PROGRAM_ID;
use amp_sdk::client::{CloseOutcome, Payment};
use amp_sdk::signer::Signer;
use futures::stream::{self, StreamExt};

const ALONE: u64 = 5;
const PARALLEL: u64 = 40;
const AFTER: u64 = 7;
const TOP_UP: u64 = 3_000;

#[tokio::test]
async fn a_whole_life_takes_three_transactions_and_one_a_top_up() {
    let market = Market::open().await;
    let agent = market.hire().await;
    live(&market, &agent, 1).await;
    market.end();
}

#[tokio::test]
async fn a_whole_life_with_token_2022() {
    let market = Market::builder().token_2022().open().await;
    let agent = market.hire().await;
    live(&market, &agent, 1).await;
    market.end();
}

#[tokio::test]
async fn where_the_unit_price_is_the_price_seq_counts_calls() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.unit_price(UnitPrice::new(PRICE).unwrap())).await;
    live(&market, &agent, PRICE).await;
    market.end();
}

#[tokio::test]
async fn a_unit_price_that_does_not_divide_the_price_is_paid_to_the_base_unit_too() {
    let market = Market::builder().token_2022().open().await;
    let agent = market.hire_with(|client| client.unit_price(UnitPrice::new(33).unwrap())).await;
    live(&market, &agent, 33).await;
    market.end();
}

/// All of it, on a channel with this unit price.
async fn live(market: &Market, agent: &Agent, unit_price: u64) {
    is_discovered(market).await;
    asks_for_payment(market).await;
    let before = market.money();
    let url = market.url("/quote");

    for call in 1..=ALONE {
        let payment = agent.buy(&url).await;
        let spent = call * PRICE;
        assert_eq!(payment.seq, Seq::new(spent.div_ceil(unit_price)), "the least that covers it");
        assert_eq!(amounts(&payment), [DEPOSIT - spent, spent, PRICE]);
    }
    let answers = stream::iter(0..PARALLEL).map(|_| agent.buy(&url)).buffer_unordered(16);
    let mut payments: Vec<_> = answers.collect().await;
    payments.sort_by_key(|payment| payment.seq);
    payments.dedup_by_key(|payment| payment.seq);
    assert_eq!(payments.len() as u64, PARALLEL, "no seq is used twice");
    let mut spent = (ALONE + PARALLEL) * PRICE;
    let last = payments.last().unwrap().seq.get();
    assert!(payments[0].seq.get() > (ALONE * PRICE).div_ceil(unit_price));
    if unit_price == PRICE {
        assert_eq!(last, ALONE + PARALLEL, "every number from the first to the last was used");
    }
    let highest = payments.iter().filter_map(|payment| payment.spent).max();
    assert_eq!(highest, Some(Amount::new(spent)));
    assert_eq!(market.money(), Money { vaults: DEPOSIT, agents: before.agents - DEPOSIT, ..before });

    agent.client.top_up(market.origin(), Amount::new(TOP_UP)).await.unwrap();
    assert_eq!(market.money().vaults, DEPOSIT + TOP_UP);
    market.chain.advance_seconds(INTERVAL);
    let channel = agent.channel().await.channel;
    let settled = market.service().settle(channel).await.unwrap();
    assert_eq!((settled.channel, settled.paid), (channel, Amount::new(spent)));
    assert_eq!(market.earned(), spent);

    for _ in 0..AFTER {
        spent += PRICE;
        let payment = agent.buy(&url).await;
        assert_eq!(amounts(&payment), [DEPOSIT + TOP_UP - spent, spent, PRICE]);
    }
    let status = agent.client.status(&url).await.unwrap();
    let proof = status.metering_proof.expect("a receipt");
    assert_eq!((proof.owed, proof.calls), (Amount::new(spent), ALONE + PARALLEL + AFTER));

    match agent.client.close(market.origin()).await.unwrap() {
        CloseOutcome::Closed { refund, payout, .. } => {
            assert_eq!(refund, Amount::new(DEPOSIT + TOP_UP - spent));
            assert_eq!(payout, Amount::new(AFTER * PRICE));
        }
        other => panic!("not closed: {other:?}"),
    }
    assert_eq!(market.transactions(), ["OpenChannel", "TopUp", "Settle", "CloseChannel"]);
    assert_eq!(market.money(), Money { agents: before.agents - spent, service: spent, vaults: 0 });
    assert_eq!(market.served(), spent);
    assert_eq!(market.account(&channel).await, None);
}

fn amounts(payment: &Payment) -> [u64; 3] {
    [payment.balance, payment.spent, payment.cost].map(|amount| amount.expect("named in a header").get())
}

async fn is_discovered(market: &Market) {
    let answer = market.get(path::DISCOVERY).await;
    assert_eq!(answer.status, 200);
    let document: DiscoveryDocument = answer.json();
    assert_eq!(document.amp_version, "1.0");
    assert_eq!(document.recipient.0, market.recipient.public_key().to_bytes());
    assert_eq!(document.program_id.0, PROGRAM_ID.to_bytes());
    assert_eq!(document.network, network::LOCALNET);
    assert_eq!((document.seq_window, document.min_close_grace), (64, GRACE));
    let default = &document.pricing.default;
    assert_eq!(default.token.0, market.mint.address.to_bytes());
    assert_eq!((default.rate, default.settle_interval), (Amount::new(PRICE), INTERVAL));
}

async fn asks_for_payment(market: &Market) {
    let answer = market.get("/quote").await;
    assert_eq!(answer.status, 402);
    answer.refused(Code::NoChannel);
    assert_eq!(answer.header(header::VERSION), "1.0");
    assert_eq!(answer.header(header::RECIPIENT), market.recipient.public_key().to_string());
    assert_eq!(answer.header(header::PROGRAM), PROGRAM_ID.to_string());
    assert_eq!(answer.header(header::NETWORK), network::LOCALNET);
    let pricing: Pricing = serde_json::from_str(answer.header(header::PRICING)).unwrap();
    assert_eq!(pricing.rate, Amount::new(PRICE));
    assert_eq!(pricing.token.0, market.mint.address.to_bytes());
}

#[tokio::test]
async fn a_used_up_channel_is_topped_up_within_the_policy_and_no_further() {
    let market = Market::open().await;
    let policy_max = 4 * PRICE;
    // two calls a deposit; at most four calls' worth unacknowledged; six calls in all
    let agent = market
        .hire_with(move |client| {
            client
                .deposit(Amount::new(2 * PRICE))
                .max_deposit(Amount::new(policy_max))
                .rate_limit(Amount::new(100 * PRICE))
                .total_budget(Some(Amount::new(6 * PRICE)))
        })
        .await;
    for _ in 0..6 {
        agent.buy(&market.url("/quote")).await;
    }
    assert_eq!(market.transactions(), ["OpenChannel", "TopUp", "TopUp"]);
    let refused = agent.client.get(&market.url("/quote")).await.unwrap_err();
    assert!(
        matches!(&refused, amp_sdk::client::ClientError::Policy(amp_sdk::client::PolicyError::Budget { .. })),
        "{refused:?}"
    );
    assert_eq!(market.money().vaults, 6 * PRICE);
    market.settle_all().await;
    agent.client.close(market.origin()).await.unwrap();
    assert_eq!(market.money().vaults, 0);
    market.end();
}

#[tokio::test]
async fn a_top_up_by_a_stranger_is_spent_by_the_agent_and_refunded_to_it() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let stranger = market.person();
    let payment = agent.buy(&market.url("/quote")).await;
    let had = market.tokens(&stranger);
    market.top_up_as(&stranger, &payment.channel, 1_000).await;
    market.next_slot();
    let before = market.tokens(&agent.funder);
    agent.client.close(market.origin()).await.unwrap();
    assert_eq!(market.tokens(&agent.funder), before + DEPOSIT + 1_000 - PRICE);
    assert_eq!(market.tokens(&stranger), had - 1_000);
    market.end();
}
