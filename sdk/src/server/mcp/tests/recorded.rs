//! The exchanges in `docs/transports/mcp.md`, as they go through a pipe.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use amp_protocol::json::PricingMode;
use amp_protocol::rate::Rate;

use super::*;
use crate::server::tests::recorded::{hold, known};

const LONG: Duration = Duration::from_secs(60);

/// Columns of the page.
const WIDTH: usize = 118;

/// JSON as people write it: on one line where it fits, else a line for each member, in the order of their names.
fn laid_out(value: &Value, indent: usize, column: usize) -> String {
    let Value::Object(members) = value else { return value.to_string() };
    let members: BTreeMap<_, _> = members.iter().collect();
    let of = |indent, column: usize| {
        let member = |(name, member): (&&String, &&Value)| {
            let name = format!("\"{name}\": ");
            format!("{name}{}", laid_out(member, indent, column + name.len()))
        };
        members.iter().map(member).collect::<Vec<_>>()
    };
    let line = format!("{{{}}}", of(0, 0).join(", "));
    if column + line.len() <= WIDTH && !line.contains('\n') {
        return line;
    }
    let (inner, space) = (indent + 2, " ".repeat(indent + 2));
    format!("{{\n{space}{}\n{}}}", of(inner, inner).join(&format!(",\n{space}")), " ".repeat(indent))
}

/// Sends a request; how the page has it.
async fn begin(raw: &mut Raw, method: &str, params: Value) -> String {
    let id = raw.begin(method, params.clone()).await;
    laid_out(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}), 4, 4)
}

/// A call of a tool that is paid for by the unit: ten are signed for, and it needs twelve.
async fn work(bench: &Bench, service: &AmpService, raw: &mut Raw) -> String {
    let meta = async |seq| json!({"amp": bench.credential(seq).await});
    let params = json!({"name": "work", "arguments": {"n": 12}, "_meta": meta(50).await});
    let mut page =
        "**A tool by the unit, of which ten are signed for: the work waits**\n\n```text\n".to_owned();
    writeln!(page, "--> {}", begin(raw, "tools/call", params).await).unwrap();
    let any = bench.credential(0).await;
    while service.channel_status(&any).await.unwrap().required_seq.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (method, seq) in [("amp/channel", 0), ("amp/credential", 80)] {
        let request = begin(raw, method, json!({"_meta": meta(seq).await})).await;
        let mut answer = raw.next().await;
        if let Some(proof) = answer["result"].get_mut("metering_proof") {
            // it names the time
            *proof = json!("(as over HTTP)");
        }
        let answer = laid_out(&answer, 4, 4);
        writeln!(page, "--> {request}\n<-- {answer}").unwrap();
    }
    writeln!(page, "<-- {}\n```\n", laid_out(&raw.next().await, 4, 4)).unwrap();
    page
}

#[tokio::test]
async fn recorded_exchanges_are_those_of_the_page() {
    let bench = known();
    let three = Rate::each(Amount::new(3));
    let config = bench.config().tool("free", Amount::ZERO);
    let config = config.metered_tool("work", PricingMode::PerCompute, three).stream_wait(LONG);
    let service = bench.service_with(config).await;
    let mut raw = Raw::connect(PaidTools::new(service.clone(), Shop::default())).await;
    let [none, first, second, last] = [0, 10, 20, 80];
    let mut page = String::new();
    for (title, method, place, seq) in [
        ("Prices", "amp/pricing", "", none),
        ("No credential", "tools/call", "", none),
        ("A paid call", "tools/call", "_meta", first),
        ("The credential in the other place", "tools/call", "_amp", second),
        ("The same credential again", "tools/call", "_amp", second),
        ("The end, with the last credential", "amp/close", "_amp", last),
    ] {
        let mut params = match method {
            "tools/call" => json!({"name": "quote"}),
            _ => json!({}),
        };
        let credential = bench.credential(seq).await;
        match place {
            "_meta" => params["_meta"] = json!({"amp": credential}),
            "_amp" => params["_amp"] = json!(credential),
            _ => {}
        }
        let request = begin(&mut raw, method, params).await;
        let answer = laid_out(&raw.next().await, 4, 4);
        write!(page, "**{title}**\n\n```text\n--> {request}\n<-- {answer}\n```\n\n").unwrap();
        if title == "The same credential again" {
            page += &work(&bench, &service, &mut raw).await;
        }
    }
    hold("mcp.md", &page);
}
