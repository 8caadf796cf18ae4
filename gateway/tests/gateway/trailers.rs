//! Headers that come after a body.

use crate::passing::raw;
use crate::stage::Stage;

#[tokio::test]
async fn what_the_api_says_of_payments_in_trailers_is_not_believed() {
    let stage = Stage::with("[[route]]\npath = \"/trailers\"\nprice = \"0\"\n", false).await;
    let request = "GET /trailers HTTP/1.1\r\nHost: api\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let answer = raw(&stage, request).await.to_ascii_lowercase();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.contains("body") && body.contains("x-sum: 7"), "{answer}");
    assert!(!body.contains("amp"), "{answer}");
}

#[tokio::test]
async fn identity_that_a_client_forges_in_trailers_is_gone() {
    let stage = Stage::set().await;
    let request = "POST /free/collect HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\
                   Trailer: AMP-Payer, AMP_PAYER, X-Forwarded-For, X-Sum\r\nConnection: close\r\n\r\n\
                   1\r\na\r\n0\r\nAMP-Payer: me\r\nAMP_PAYER: me\r\nX-Forwarded-For: 6.6.6.6\r\nX-Sum: 7\r\n\r\n";
    let answer = raw(&stage, request).await;
    assert!(answer.ends_with("{\"x-sum\":\"7\"}"), "{answer}");
}
