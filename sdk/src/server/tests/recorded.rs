//! The exchanges in `docs/transports/http.md`, as they are on the wire. Other bindings' pages are held likewise.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::Rate;
use axum::response::sse::{Event, Sse};
use futures::{StreamExt as _, stream};
use solana_keypair::Keypair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::server::Meter;

const BEGIN: &str = "<!-- recorded by a test: AMP_BLESS=1 cargo test recorded -->\n";
const END: &str = "<!-- recorded -->\n";

/// Sends a request as it stands, and reads all that comes back.
async fn exchange(server: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(server).await.unwrap();
    socket.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer.replace("\r\n", "\n")
}

/// An exchange as the page has it: without what differs from one to the next.
fn shown(title: &str, request: &str, answer: &str) -> String {
    let is_told = |line: &&str| !line.starts_with("date: ") && !line.starts_with("vary: ");
    let lines = |text: &str, mark: &str| {
        text.trim_end().lines().filter(is_told).fold(String::new(), |mut all, line| {
            writeln!(all, "{}", format!("{mark} {line}").trim_end()).unwrap();
            all
        })
    };
    format!("**{title}**\n\n```text\n{}\n{}```\n\n", lines(request, ">"), lines(answer, "<"))
}

/// A bench whose keys are the same each time.
pub(crate) fn known() -> Bench {
    let key = |seed| KeypairSigner::from(Keypair::new_from_array([seed; 32]));
    let mut bench = Bench::of(key(1));
    bench.recipient = key(3);
    bench.chain.put_channel(CHANNEL, &bench.account());
    bench
}

fn routes(service: &AmpService) -> Router {
    let tokens = |Extension(meter): Extension<Meter>| async move {
        let tokens = stream::iter(["a", "b", "c"]).then(move |token| {
            let meter = meter.clone();
            async move { meter.spend(1).await.map(|()| Event::default().data(token)) }
        });
        Sse::new(tokens.take_while(|token| std::future::ready(token.is_ok())))
    };
    Router::new()
        .route("/quote", get(|| async { "42" }))
        .route("/tokens", get(tokens))
        .route("/file", get(|| async { Body::from_stream(stream::iter([Ok::<_, std::io::Error>("12345")])) }))
        .layer(AmpLayer::new(service.clone()))
}

#[tokio::test]
async fn recorded_exchanges_are_those_of_the_page() {
    let bench = known();
    let config = bench
        .config()
        .metered_route("/tokens", PricingMode::PerCompute, Rate::each(Amount::new(5)))
        .metered_route("/file", PricingMode::PerByte, Rate::each(Amount::new(1)))
        .stream_wait(Duration::from_millis(50));
    let service = bench.service_with(config).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(axum::serve(listener, routes(&service)).into_future());
    let mut page = String::new();
    for (title, line, seq) in [
        ("What a service takes", "GET /.well-known/amp.json", None),
        ("No credential", "GET /quote", None),
        ("A paid call", "GET /quote", Some(10)),
        ("The same credential again", "GET /quote", Some(10)),
        ("More is signed for without a request", "POST /.well-known/amp/credential", Some(20)),
        ("How the channel stands, to whoever holds its key", "GET /.well-known/amp/channel", Some(0)),
        ("Events at 5 a token, of which the credential pays for two", "GET /tokens", Some(21)),
        ("A stream by the byte, and what it came to in its trailers", "GET /file", Some(40)),
    ] {
        let mut request = format!("{line} HTTP/1.1\nhost: api.example\nconnection: close\n");
        if line.ends_with("/file") {
            request.push_str("te: trailers\n");
        }
        if let Some(seq) = seq {
            let credential = bench.credential(seq).await;
            let CredentialBody { channel, seq, sig } = credential;
            writeln!(request, "amp-channel: {channel}\namp-seq: {seq}\namp-sig: {sig}").unwrap();
        }
        request.push('\n');
        let answer = exchange(address, &request).await;
        // the only times in it: those of the metering proof
        let answer = without_times(&answer);
        page.push_str(&shown(title, &request, &answer));
    }
    serving.abort();
    hold("http.md", &page);
}

/// Holds the exchanges of a page in `docs/transports` against what was recorded.
pub(crate) fn hold(name: &str, page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/transports").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a place for them");
    let (found, after) = rest.split_once(END).expect("its end");
    if std::env::var_os("AMP_BLESS").is_some() {
        return std::fs::write(&path, format!("{before}{BEGIN}\n{page}{END}{after}")).unwrap();
    }
    assert_eq!(found.trim(), page.trim(), "stale: `AMP_BLESS=1 cargo test recorded` writes it anew");
}

/// Without the metering proof's own times and signature, and the length that hangs on them.
fn without_times(answer: &str) -> String {
    let Some((head, proof)) = answer.split_once("\"metering_proof\":{") else { return answer.to_owned() };
    let head: Vec<&str> = head.lines().filter(|line| !line.starts_with("content-length")).collect();
    let rest = proof.split_once('}').map_or("", |(_, rest)| rest);
    format!("{}\"metering_proof\":{{…}}{rest}", head.join("\n"))
}
