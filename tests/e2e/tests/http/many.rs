//! Many agents at once.

use std::collections::BTreeMap;

use amp_e2e_tests::{DEPOSIT, INTERVAL, Market, PRICE};
use amp_protocol::money::Amount;
use amp_sdk::chain::ComputeBudget;
use amp_sdk::client::CloseOutcome;
use futures::future::join_all;
use futures::stream::{self, StreamExt};

const AGENTS: usize = 5;
const CALLS: u64 = 40;

#[tokio::test]
async fn many_agents_pay_one_service_at_once_and_each_pays_its_own() {
    let market = Market::open().await;
    let mut agents = Vec::new();
    for _ in 0..AGENTS {
        agents.push(market.hire().await);
    }
    let url = market.url("/quote");
    join_all(agents.iter().map(|agent| async {
        let calls = stream::iter(0..CALLS).map(|_| agent.buy(&url)).buffer_unordered(8);
        calls.for_each(|payment| async move { assert_eq!(payment.cost, Some(Amount::new(PRICE))) }).await;
    }))
    .await;
    assert_eq!(market.count_of("OpenChannel"), AGENTS);

    let mut expected = BTreeMap::new();
    for agent in &agents {
        let status = agent.client.status(&url).await.unwrap();
        assert_eq!(status.spent, Amount::new(CALLS * PRICE));
        expected.insert(agent.channel().await.channel, CALLS * PRICE);
    }
    assert_eq!(BTreeMap::from_iter(market.settle_all().await), expected);
    assert_eq!(market.count_of("Settle"), AGENTS);
    assert_eq!(market.earned(), AGENTS as u64 * CALLS * PRICE);
    let again = market.service().settle_all().await;
    assert!(again.into_iter().all(|(_, outcome)| outcome.unwrap().paid.is_zero()));

    let closes = join_all(agents.iter().map(|agent| agent.client.close(market.origin()))).await;
    for close in closes {
        let refund = Amount::new(DEPOSIT - CALLS * PRICE);
        assert!(matches!(close.unwrap(), CloseOutcome::Closed { refund: back, .. } if back == refund));
    }
    // five settlements in two transactions
    assert_eq!(market.transactions().len(), 2 * AGENTS + 2);
    assert_eq!(market.money().vaults, 0);
    market.end();
}

#[tokio::test]
async fn ten_channels_are_settled_in_four_transactions() {
    let market = Market::open().await;
    let mut expected = BTreeMap::new();
    for calls in 1..=10 {
        let agent = market.hire().await;
        for _ in 0..calls {
            agent.buy(&market.url("/quote")).await;
        }
        expected.insert(agent.channel().await.channel, calls * PRICE);
    }
    market.chain.advance_seconds(INTERVAL);
    let outcomes = market.service().settle_all().await;
    let mut transactions = BTreeMap::<_, usize>::new();
    for (channel, outcome) in outcomes {
        let settled = outcome.unwrap();
        assert_eq!(settled.paid.get(), expected[&channel]);
        let [transaction] = settled.transactions[..] else { panic!("{settled:?}") };
        *transactions.entry(transaction).or_default() += 1;
    }
    let mut shared: Vec<usize> = transactions.into_values().collect();
    shared.sort_unstable();
    assert_eq!(shared, [1, 3, 3, 3]);
    let of_settlements = |names: &String| names.starts_with("Settle");
    assert_eq!(market.transactions().into_iter().filter(of_settlements).count(), 4);
    // what they ask for is what they may need, and three need thrice as much
    for done in market.chain.executed().iter().filter(|done| done.instruction_names().contains(&"Settle")) {
        let count = done.instruction_names().len();
        let asked = (1..count).fold(ComputeBudget::settle(), |sum, _| sum.and(ComputeBudget::settle()));
        let used = done.confirmation.compute_units.unwrap();
        assert!(used <= u64::from(asked.units()), "{used} of {asked:?}");
    }
    market.end();
}

#[tokio::test]
async fn parallel_first_calls_open_one_channel() {
    let market = Market::open().await;
    let agent = market.hire().await;
    let url = market.url("/quote");
    let payments = join_all((0..32).map(|_| agent.buy(&url))).await;
    let channel = payments[0].channel;
    assert!(payments.iter().all(|payment| payment.channel == channel));
    assert_eq!(market.transactions(), ["OpenChannel"]);
    assert_eq!(market.settle_all().await, [(channel, 32 * PRICE)]);
    market.end();
}

#[tokio::test]
async fn one_request_sent_many_times_at_once_is_served_once() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    let credential = agent.credential(&market, 2 * PRICE).await;
    let answers = join_all((0..24).map(|_| market.get_with("/quote", &credential))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (1, 23));
    for answer in refused {
        answer.refused(amp_protocol::code::Code::InvalidSeq);
    }
    market.chain.advance_seconds(INTERVAL);
    market.service().settle_all().await;
    assert_eq!(market.earned(), 2 * PRICE);
    market.end();
}

#[tokio::test]
async fn parallel_calls_past_the_deposit_are_all_served_after_top_ups() {
    let market = Market::open().await;
    let agent = market.hire_with(|client| client.deposit(Amount::new(10 * PRICE))).await;
    let url = market.url("/quote");
    let calls = stream::iter(0..35).map(|_| agent.buy(&url)).buffer_unordered(8);
    assert_eq!(calls.collect::<Vec<_>>().await.len(), 35);
    let deposited = agent.channel().await.ledger.deposited.get();
    assert_eq!(market.money().vaults, deposited);
    // ten calls a top-up, and one more where the calls in flight needed it
    assert!((3..=4).contains(&market.count_of("TopUp")), "{:?}", market.transactions());
    market.settle_all().await;
    assert_eq!(market.earned(), 35 * PRICE);
    agent.client.close(market.origin()).await.unwrap();
    assert_eq!(market.money().vaults, 0);
    market.end();
}

#[tokio::test]
async fn two_closes_at_once_send_one_transaction() {
    let market = Market::open().await;
    let agent = market.hire().await;
    agent.buy(&market.url("/quote")).await;
    market.next_slot();
    let close = || agent.client.close(market.origin());
    let (first, second) = tokio::join!(close(), close());
    let closed = |outcome: &_| matches!(outcome, Ok(CloseOutcome::Closed { .. }));
    assert_eq!([&first, &second].into_iter().filter(|outcome| closed(outcome)).count(), 1);
    let late = if closed(&first) { second } else { first };
    assert!(matches!(late, Ok(CloseOutcome::AlreadyClosed)), "{late:?}");
    assert_eq!(market.transactions(), ["OpenChannel", "CloseChannel"]);
    market.end();
}
