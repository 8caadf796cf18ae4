//! The exchanges in `docs/transports/grpc.md`, as the layer sees them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};

use super::*;
use crate::grpc::ERROR;
use crate::server::tests::recorded::{hold, known};

fn write_metadata(page: &mut String, mark: &str, metadata: &HeaderMap) {
    for (name, value) in metadata {
        let value = value.to_str().unwrap();
        if name == ERROR {
            let body = String::from_utf8(STANDARD_NO_PAD.decode(value).unwrap()).unwrap();
            writeln!(page, "{mark} {name}: base64 of {body}").unwrap();
        } else {
            writeln!(page, "{mark} {name}: {value}").unwrap();
        }
    }
}

#[tokio::test]
async fn recorded_exchanges_are_those_of_the_page() {
    let bench = known();
    let service = bench.service_with(prices(bench.config()).stream_wait(Duration::from_millis(50))).await;
    let layered = AmpGrpcLayer::new(service).layer(Handlers { gate: Arc::default() });
    let mut page = String::new();
    for (title, method, seq) in [
        ("No credential", "Quote", None),
        ("A paid call", "Quote", Some(10)),
        ("The same credential again", "Quote", Some(10)),
        ("A call that fails", "Fail", Some(20)),
        (
            "A stream at 3 for every 4 bytes, of which the credential pays for two messages",
            "PerByte",
            Some(165),
        ),
    ] {
        // the number three, encoded
        let message = bytes::Bytes::from_static(&[0, 0, 0, 0, 2, 8, 3]);
        let mut request = HttpRequest::post(format!("/test.Test/{method}"));
        if let Some(seq) = seq {
            request.headers_mut().unwrap().extend(signed(&bench.credential(seq).await).into_headers());
        }
        let request = request.body(Body::new(http_body_util::Full::new(message))).unwrap();
        writeln!(page, "**{title}**\n\n```text\n> POST {}", request.uri()).unwrap();
        write_metadata(&mut page, ">", request.headers());
        writeln!(page, ">\n> a message of 2 bytes\n").unwrap();
        let answer = layered.clone().oneshot(request).await.unwrap();
        writeln!(page, "< {}", answer.status()).unwrap();
        write_metadata(&mut page, "<", answer.headers());
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => writeln!(page, "<\n< a message of {} bytes", data.len() - 5).unwrap(),
                Err(frame) => {
                    writeln!(page, "<").unwrap();
                    write_metadata(&mut page, "<", &frame.into_trailers().unwrap());
                }
            }
        }
        writeln!(page, "```\n").unwrap();
    }
    hold("grpc.md", &page);
}
