//! The exchanges in `docs/transports/mcp.md`, as they go through a pipe.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::server::tests::recorded::{hold, known};

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

#[tokio::test]
async fn recorded_exchanges_are_those_of_the_page() {
    let bench = known();
    let service = bench.service_with(bench.config().tool("free", Amount::ZERO)).await;
    let mut raw = Raw::connect(PaidTools::new(service, Shop::default())).await;
    let [none, first, second] = [0, 10, 20];
    let mut page = String::new();
    for (title, method, place, seq) in [
        ("Prices", "amp/pricing", "", none),
        ("No credential", "tools/call", "", none),
        ("A paid call", "tools/call", "_meta", first),
        ("The credential in the other place", "tools/call", "_amp", second),
        ("The same credential again", "tools/call", "_amp", second),
        ("The end, with the last credential", "amp/close", "_amp", second),
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
        let id = raw.begin(method, params.clone()).await;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let (request, answer) = (laid_out(&request, 4, 4), laid_out(&raw.next().await, 4, 4));
        write!(page, "**{title}**\n\n```text\n--> {request}\n<-- {answer}\n```\n\n").unwrap();
    }
    hold("mcp.md", &page);
}
