//! Where the credential may be, on the wire.

use super::*;

#[tokio::test]
async fn a_credential_in_amp_of_the_params_pays_as_one_in_meta_does() {
    let mut stage = Stage::new().await;
    let credential = stage.bench.credential(10).await;
    let params = json!({"name": "quote", "arguments": {"_amp": "the tool's own"}, "_amp": credential});
    assert_eq!(paid(&stage.raw.request("tools/call", params).await), ["9990", "10", "10", "10"]);
    let credential = stage.bench.credential(20).await;
    let params = json!({"name": "quote", "_meta": {"amp": credential}});
    assert_eq!(paid(&stage.raw.request("tools/call", params).await), ["9980", "20", "10", "20"]);
}

#[tokio::test]
async fn the_same_credential_may_be_in_both_and_other_ones_may_not() {
    let mut stage = Stage::new().await;
    let [one, other] = [stage.bench.credential(10).await, stage.bench.credential(20).await];
    let both = |field: &CredentialBody, meta: &CredentialBody| json!({"name": "quote", "_amp": field, "_meta": {"amp": meta}});
    for params in [both(&one, &other), both(&other, &one)] {
        assert_eq!(refused(&stage.raw.request("tools/call", params).await), (-32602, "AMP_INVALID_SEQ"));
    }
    let answer = stage.raw.request("tools/call", both(&one, &one)).await;
    assert_eq!(paid(&answer), ["9990", "10", "10", "10"]);
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_field_and_breaks_nothing() {
    let mut stage = Stage::new().await;
    let good = serde_json::to_value(stage.bench.credential(10).await).unwrap();
    for (name, value, code) in [
        ("channel", json!("x!"), "AMP_NO_CHANNEL"),
        ("seq", json!("-1"), "AMP_INVALID_SEQ"),
        ("seq", json!(1.5), "AMP_INVALID_SEQ"),
        ("sig", json!("sig"), "AMP_INVALID_SIG"),
        ("sig", Value::Null, "AMP_INVALID_SIG"),
    ] {
        let mut credential = good.clone();
        credential[name] = value;
        for params in [
            json!({"name": "quote", "_amp": credential}),
            json!({"name": "quote", "_meta": {"amp": credential}}),
        ] {
            assert_eq!(refused(&stage.raw.request("tools/call", params).await), (-32602, code));
        }
    }
    for amp in [json!("x"), json!([]), json!(7)] {
        let answer = stage.raw.request("tools/call", json!({"name": "quote", "_amp": amp})).await;
        assert_eq!(refused(&answer), (-32602, "AMP_NO_CHANNEL"));
    }
    assert_eq!(paid(&stage.call("quote", 10).await)[1], "10");
}

#[tokio::test]
async fn without_the_pieces_for_amp_in_params_meta_pays_all_the_same() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config()).await;
    let (theirs, ours) = tokio::io::duplex(64 * 1024);
    let server = PaidTools::new(service, Shop::default());
    tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
    let client = ().serve(ours).await.unwrap();
    let mut params = CallToolRequestParams::new("quote");
    let mut meta = rmcp::model::RequestMetaObject::new();
    meta.0.0.insert("amp".to_owned(), json!(bench.credential(10).await));
    params.meta = Some(meta);
    let result = client.call_tool(params).await.unwrap();
    assert_eq!(result.meta.unwrap().0["amp"]["spent"], "10");
}
