use amp_protocol::json::ErrorBody;

use super::*;
use crate::server::mcp::refusal;
use crate::server::tests::conformance::{Fields, Mcp, Verdict, all_refusals, conform};

#[tokio::test]
async fn mcp_gives_every_verdict_of_the_table() {
    conform(async |service: AmpService, sent: Vec<Option<Fields>>| {
        let mut raw = Raw::connect(PaidTools::new(service, Shop::default())).await;
        let mut verdicts = Vec::new();
        for fields in sent {
            let mut params = json!({"name": "quote", "arguments": {}});
            if let Some(fields) = fields {
                params["_amp"] = json!(fields);
            }
            let answer = raw.request("tools/call", params).await;
            let amount = |name: &str| {
                let text = answer["result"]["_amp"][name].as_str().expect("a receipt");
                Amount::new(text.parse().unwrap())
            };
            verdicts.push(match answer.get("result") {
                Some(_) => {
                    let (cost, spent, balance) = (amount("cost"), amount("spent"), amount("balance"));
                    Verdict::Paid { cost, spent, balance }
                }
                None => Verdict::Refused(answer["error"]["data"].clone()),
            });
        }
        verdicts
    })
    .await;
}

#[tokio::test]
async fn mcp_writes_every_refusal_of_the_table() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config()).await;
    for (denial, expected) in all_refusals() {
        let error = refusal::refused(&denial, &service.pricing("/"));
        let (code, message) = (error.code.0, error.message.to_string());
        assert_eq!(Mcp { code, message }, expected.mcp);
        let mut body: ErrorBody = serde_json::from_value(error.data.unwrap()).unwrap();
        assert!(body.amp_pricing.take().is_some());
        assert_eq!(body, expected.body);
    }
}
