//! Tools that are paid for by what is counted.

use amp_protocol::json::PricingMode;
use amp_protocol::rate::{Per, Rate};

use super::*;
use crate::server::ChargeOn;

/// A base unit for ten bytes, three for a unit of work, five for a second.
fn prices(config: ServiceConfig) -> ServiceConfig {
    let tenth = Rate { amount: Amount::new(1), per: Per::new(10).unwrap() };
    let three = Rate::each(Amount::new(3));
    config
        .metered_tool("text", PricingMode::PerByte, tenth)
        .metered_tool("bad text", PricingMode::PerByte, tenth)
        .metered_tool("work", PricingMode::PerCompute, three)
        .metered_tool("work in vain", PricingMode::PerCompute, three)
        .metered_tool("nap", PricingMode::PerSecond, Rate::each(Amount::new(5)))
        .stream_wait(Duration::from_secs(60))
}

async fn stage() -> Stage {
    Stage::with(prices).await
}

/// A service that does not wait for long.
async fn hasty() -> Stage {
    Stage::with(|config| prices(config).stream_wait(Duration::from_millis(300))).await
}

impl Stage {
    async fn begin(&mut self, tool: &str, n: u64, seq: u64) -> u64 {
        let credential = self.bench.credential(seq).await;
        let params = json!({"name": tool, "arguments": {"n": n}, "_meta": {"amp": credential}});
        self.raw.begin("tools/call", params).await
    }

    async fn call_with(&mut self, tool: &str, n: u64, seq: u64) -> Value {
        let id = self.begin(tool, n, seq).await;
        let answer = self.raw.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// One of `amp/*`, on top of a call that is under way.
    async fn ask(&mut self, method: &str, seq: u64) -> Value {
        let credential = self.bench.credential(seq).await;
        self.raw.request(method, json!({"_meta": {"amp": credential}})).await["result"].clone()
    }

    /// The seq that a call under way asks for.
    async fn required(&mut self) -> String {
        for _ in 0..100 {
            let status = self.ask("amp/channel", 0).await;
            if let Some(required) = status["required_seq"].as_str() {
                return required.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it asks for nothing")
    }
}

/// What the error says of the payment.
fn cost(answer: &Value) -> &str {
    answer["error"]["data"]["amp"]["cost"].as_str().unwrap_or("none")
}

#[tokio::test]
async fn a_result_is_charged_by_its_bytes_rounded_up_once() {
    let mut stage = stage().await;
    assert_eq!(paid(&stage.call_with("text", 1_005, 5_000).await), ["9899", "101", "101", "5000"]);
    assert_eq!(paid(&stage.call_with("text", 0, 5_001).await)[2], "0");
    assert_eq!(paid(&stage.call_with("text", 1, 5_002).await)[2], "1");
    assert_eq!(stage.spent().await, 102);
}

#[tokio::test]
async fn a_result_that_is_not_paid_for_waits_for_more_to_be_signed_and_leaves_then() {
    let mut stage = stage().await;
    let id = stage.begin("text", 1_000, 20).await;
    assert_eq!(stage.required().await, "100");
    let raised = stage.ask("amp/credential", 100).await;
    assert_eq!(raised["last_seq"], "100");
    let answer = stage.raw.next().await;
    assert_eq!((&answer["id"], paid(&answer)), (&json!(id), ["9900", "100", "100", "100"]));
    assert_eq!(answer["result"]["content"][0]["text"].as_str().unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_result_that_is_never_paid_for_does_not_leave_and_costs_nothing() {
    let mut stage = hasty().await;
    let answer = stage.call_with("text", 1_000, 20).await;
    assert_eq!(refused(&answer), (-32602, "AMP_UNDERFUNDED"));
    let data = &answer["error"]["data"];
    assert_eq!((&data["required_seq"], &data["amp_pricing"]["mode"]), (&json!("100"), &json!("per-byte")));
    assert_eq!(cost(&answer), "0");
    assert_eq!(
        paid(&stage.call_with("text", 200, 21).await)[1],
        "20",
        "what it had signed for is free again"
    );
}

#[tokio::test]
async fn a_failure_costs_no_bytes_unless_its_tool_charges_always() {
    let mut stage = stage().await;
    assert_eq!(paid(&stage.call_with("bad text", 1_000, 500).await)[2], "0");
    let mut strict = Stage::with(|config| prices(config).tool_charges_on("bad text", ChargeOn::Always)).await;
    assert_eq!(paid(&strict.call_with("bad text", 1_000, 500).await)[2], "100");
}

#[tokio::test]
async fn units_are_charged_as_the_tool_reports_them_and_it_waits_where_they_are_not_paid_for() {
    let mut stage = stage().await;
    assert_eq!(paid(&stage.call_with("work", 7, 100).await)[1..3], ["21", "21"]);
    let id = stage.begin("work", 40, 101).await;
    let required = (21 + 27 * 3).to_string();
    assert_eq!(stage.required().await, required, "one unit more than what is signed for");
    assert_eq!(stage.ask("amp/channel", 101).await["required_seq"], required);
    assert_eq!(stage.ask("amp/channel", 100).await.get("required_seq"), None, "that call is over");
    stage.ask("amp/credential", 141).await;
    let answer = stage.raw.next().await;
    assert_eq!((&answer["id"], paid(&answer)[1..3].to_vec()), (&json!(id), vec!["141", "120"]));
}

#[tokio::test]
async fn work_that_is_paid_for_no_longer_ends_and_costs_what_it_had_reported() {
    let mut stage = hasty().await;
    let answer = stage.call_with("work", 40, 31).await;
    assert_eq!(refused(&answer), (-32602, "AMP_UNDERFUNDED"));
    assert_eq!((cost(&answer), &answer["error"]["data"]["required_seq"]), ("30", &json!("33")));
    assert_eq!(answer["error"]["data"]["amp_pricing"]["rate"], "3");
    assert_eq!(stage.spent().await, 30);
}

#[tokio::test]
async fn units_that_were_reported_are_charged_whatever_comes_of_the_call() {
    let mut stage = stage().await;
    let answer = stage.call_with("work in vain", 4, 100).await;
    assert_eq!((&answer["result"]["isError"], paid(&answer)[2]), (&json!(true), "12"));
}

#[tokio::test]
async fn seconds_of_work_are_charged_as_they_begin() {
    let mut stage = stage().await;
    assert_eq!(paid(&stage.call_with("nap", 0, 100).await)[2], "5");
    assert_eq!(paid(&stage.call_with("nap", 1_100, 101).await)[2], "10");
}

#[tokio::test]
async fn work_stands_still_while_a_second_is_not_paid_for() {
    let mut stage = stage().await;
    let id = stage.begin("nap", 1_300, 5).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(stage.ask("amp/channel", 0).await["required_seq"], "10", "it has not answered");
    stage.ask("amp/credential", 10).await;
    let answer = stage.raw.next().await;
    assert_eq!((&answer["id"], paid(&answer)[2]), (&json!(id), "10"));
}

#[tokio::test]
async fn work_whose_next_second_is_not_paid_for_in_time_ends() {
    let ended = hasty().await.call_with("nap", 60_000, 5).await;
    assert_eq!((refused(&ended).1, cost(&ended)), ("AMP_UNDERFUNDED", "5"));
}

#[tokio::test]
async fn a_call_that_is_called_off_is_charged_what_was_counted() {
    let mut stage = stage().await;
    let id = stage.begin("nap", 60_000, 1_000).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    let params = json!({"requestId": id});
    stage.raw.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
    for _ in 0..100 {
        let status = stage.service.channel_status(&stage.bench.credential(0).await).await.unwrap();
        let spent = status.spent.get();
        // the first second is charged by itself, as the second one begins
        if spent > 5 {
            assert_eq!(spent % 5, 0);
            let next = paid(&stage.call("quote", spent + 10).await)[1].to_owned();
            assert_eq!(next, (spent + 10).to_string(), "the rest is free again");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was not charged");
}

#[tokio::test]
async fn a_close_ends_the_work_and_states_what_was_counted() {
    let mut stage = stage().await;
    let id = stage.begin("nap", 60_000, 1_000).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let credential = stage.bench.credential(1_000).await;
    let close = stage.raw.begin("amp/close", json!({"_meta": {"amp": credential}})).await;
    let mut answers = [stage.raw.next().await, stage.raw.next().await];
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!((&answers[0]["id"], refused(&answers[0]).1), (&json!(id), "AMP_CLOSED"));
    assert_eq!(answers[1]["id"], close);
    assert_eq!(answers[1]["result"]["close_statement"]["owed_total"], cost(&answers[0]));
    assert_ne!(cost(&answers[0]), "0");
}

#[tokio::test]
async fn a_tool_without_a_price_of_its_own_is_counted_as_the_default_says() {
    let counted =
        |config: ServiceConfig| config.default_rate(PricingMode::PerCompute, Rate::each(Amount::new(3)));
    let mut stage = Stage::with(counted).await;
    assert_eq!(paid(&stage.call_with("work", 7, 100).await)[2], "21");
}

#[tokio::test]
async fn the_first_of_what_is_counted_must_be_paid_for_before_any_work() {
    let mut stage = stage().await;
    let answer = stage.call_with("work", 1, 2).await;
    assert_eq!((refused(&answer), cost(&answer)), ((-32602, "AMP_UNDERFUNDED"), "none"));
    assert_eq!(answer["error"]["data"]["required_seq"], "3");
    let answer = stage.raw.request("tools/call", json!({"name": "work"})).await;
    assert_eq!(refused(&answer), (-32602, "AMP_NO_CHANNEL"));
}
