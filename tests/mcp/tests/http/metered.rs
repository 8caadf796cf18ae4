//! Tools that are paid for by what is counted, and an agent that pays for them by itself.

use std::sync::atomic::Ordering;

use amp_mcp_tests::metered;
use amp_protocol::json::PricingMode;
use amp_protocol::rate::{Per, Rate};
use amp_sdk::client::mcp::{PaidPeer, ToolAnswer};
use amp_sdk::client::{Client, Payment, PolicyError};
use rmcp::service::{RoleClient, RunningService};

use super::*;

/// An agent that pays at most 6,000 base units for a call, and its session.
pub(super) struct Agent {
    pub(super) client: Client,
    pub(super) url: String,
    tools: PaidPeer,
    _session: RunningService<RoleClient, ()>,
}

impl Agent {
    async fn new(town: &Town, style: Style, shop: &Shop) -> Self {
        Self::at(town, serve_shop(town, style, shop.clone()).await).await
    }

    pub(super) async fn at(town: &Town, url: String) -> Self {
        let client = town.agent(&town.person()).metered_budget(Amount::new(6_000)).build().await.unwrap();
        let session = ().serve(StreamableHttpClientTransport::from_uri(&*url)).await.unwrap();
        let tools = client.mcp(&url, session.peer().clone()).unwrap();
        Self { client, url, tools, _session: session }
    }

    pub(super) async fn call(&self, tool: &'static str, n: u64) -> Result<ToolAnswer, ClientError> {
        let arguments = json!({ "n": n }).as_object().cloned().unwrap();
        self.tools.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await
    }

    pub(super) async fn paid(&self, tool: &'static str, n: u64) -> Payment {
        *self.call(tool, n).await.unwrap().payment().unwrap()
    }

    /// What the service says that it was charged, once nothing is under way.
    async fn spent(&self) -> u64 {
        self.client.status(&self.url).await.unwrap().spent.get()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_signs_as_the_work_goes_on_and_pays_what_was_counted() {
    for style in Style::ALL {
        let town = Town::build(metered).await;
        let agent = Agent::new(&town, style, &Shop::default()).await;
        // the first step is 32 units: all beyond that is signed for while the call is under way
        assert_eq!(agent.paid("work", 500).await.cost, Some(Amount::new(1_500)));
        // the first step is 64 KiB
        assert_eq!(agent.paid("text", 20_005).await.cost, Some(Amount::new(2_001)));
        assert_eq!(agent.paid("text", 0).await.cost, Some(Amount::ZERO));
        let nap = agent.paid("nap", 1_100).await;
        assert!(nap.cost >= Some(Amount::new(10)), "{nap:?}");
        assert_eq!(agent.paid("quote", 0).await.cost, Some(Amount::new(PRICE)), "by the call as ever");
        let all = 1_500 + 2_001 + nap.cost.unwrap().get() + PRICE;
        assert_eq!(agent.spent().await, all);
        town.chain.advance_slots(1);
        let outcome = agent.client.close(&agent.url).await.unwrap();
        let CloseOutcome::Closed { refund, payout, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((payout.get(), refund.get()), (all, DEPOSIT - all));
        assert_eq!(town.tokens(), all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_larger_than_what_was_signed_ahead_is_signed_for_once_it_is_there() {
    let cheap = Rate { amount: Amount::new(1), per: Per::new(50).unwrap() };
    let town = Town::build(|config| metered(config).metered_tool("text", PricingMode::PerByte, cheap)).await;
    let agent = Agent::new(&town, Style::Sessions, &Shop::default()).await;
    assert_eq!(agent.paid("text", 200_000).await.cost, Some(Amount::new(4_000)));
    assert_eq!(agent.spent().await, 4_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_costs_more_than_the_budget_is_given_up_and_what_it_did_is_paid() {
    let (town, shop) = (Town::build(metered).await, Shop::default());
    let agent = Agent::new(&town, Style::Sessions, &shop).await;
    let error = agent.call("work", 10_000).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Policy(PolicyError::Price { max, .. }) if max.get() == 6_000),
        "{error}"
    );
    let payment = agent.paid("quote", 0).await;
    assert_eq!(shop.worked.load(Ordering::SeqCst), 2_000);
    assert_eq!(payment.spent, Some(Amount::new(6_000 + PRICE)));
    let error = agent.call("text", 1_000_000).await.unwrap_err();
    assert!(matches!(error, ClientError::Policy(PolicyError::Price { .. })), "{error}");
    assert_eq!(
        agent.paid("quote", 0).await.spent,
        Some(Amount::new(6_000 + 2 * PRICE)),
        "it brought nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beside_each_other_each_get_what_they_need() {
    let (town, shop) = (Town::build(metered).await, Shop::default());
    let agent = Agent::new(&town, Style::Sessions, &shop).await;
    let calls = (1..=12_u64).map(|n| agent.paid("work", n * 20));
    let costs: Vec<u64> = join_all(calls).await.iter().map(|paid| paid.cost.unwrap().get()).collect();
    assert_eq!(costs, (1..=12_u64).map(|n| n * 60).collect::<Vec<_>>());
    assert_eq!(agent.spent().await, shop.worked.load(Ordering::SeqCst) * 3);
}

/// Whoever goes away, at whichever moment: charged is what the tool had reported, and both sides' books say so.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_is_charged_wherever_a_call_is_dropped() {
    let (town, shop) = (Town::build(metered).await, Shop::default());
    let agent = Agent::new(&town, Style::Sessions, &shop).await;
    agent.paid("work", 1).await;
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..150 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let patience = Duration::from_micros(random % 40_000);
        let _ = tokio::time::timeout(patience, agent.call("work", 20)).await;
    }
    let mut settled = 0;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let now = agent.spent().await;
        if now == settled && now == shop.worked.load(Ordering::SeqCst) * 3 {
            break;
        }
        settled = now;
    }
    assert_eq!(settled, shop.worked.load(Ordering::SeqCst) * 3);
    assert_eq!(town.earned().await, settled);
    // no call counts against the agent as one that was overcharged, or was lost
    assert_eq!(agent.paid("quote", 0).await.spent, Some(Amount::new(settled + PRICE)));
}
