//! The conformance tables in `conformance/`, run through HTTP; the other bindings run them through
//! [`conform`] too. The tables are made here, so that every signature in them is one.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use std::path::PathBuf;

use amp_protocol::code::Code;
use amp_protocol::json::{Base58, ErrorBody, Shortage};
use amp_protocol::money::{Amount, Seq};
use serde::{Deserialize, Serialize};

use super::*;
use crate::server::Denial;
use crate::server::middleware::response_of;
use crate::signed::sign_credential;

/// The client's secret key in all tables.
const CLIENT: [u8; 32] = [1; 32];
const STRANGER: [u8; 32] = [2; 32];
const OPENED_SLOT: u64 = super::super::testing::OPENED_SLOT;

/// The credential as it travels, each field as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fields {
    pub(crate) channel: String,
    pub(crate) seq: String,
    pub(crate) sig: String,
}

/// What differs from a channel of 10,000 base units, unit price 1, on which 10,000 may be settled a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    closing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deposited: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_limit: Option<Amount>,
}

/// What is expected of an answer: of a refusal the members that are named, of a paid call all three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expected {
    Paid { cost: Amount, spent: Amount, balance: Amount },
    Refused(serde_json::Map<String, Value>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "is_usual")]
    given: Given,
    /// Sent and paid for before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<Fields>,
    /// None: no credential at all.
    send: Option<Fields>,
    expect: Expected,
}

fn is_usual(given: &Given) -> bool {
    *given == Given::default()
}

/// One refusal on all transports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnWire {
    pub(crate) body: ErrorBody,
    pub(crate) http: Http,
    pub(crate) mcp: Mcp,
    pub(crate) websocket: WebSocket,
    pub(crate) grpc: Grpc,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Http {
    pub(crate) status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mcp {
    pub(crate) code: i32,
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WebSocket {
    pub(crate) close: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grpc {
    pub(crate) code: u8,
    pub(crate) status: String,
}

fn table(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conformance").join(name)
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let text = std::fs::read_to_string(table(name)).expect("the table is checked in");
    serde_json::from_str(&text).expect("a table")
}

/// Holds a table against how it is made; `AMP_BLESS=1` writes it.
fn check<T: Serialize>(name: &str, made: &T) {
    let text = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os("AMP_BLESS").is_some() {
        std::fs::write(table(name), &text).unwrap();
    }
    let found = std::fs::read_to_string(table(name)).unwrap_or_default();
    assert!(found == text, "{name} is stale: `AMP_BLESS=1 cargo test conformance` writes it");
}

async fn signed_by(seed: [u8; 32], channel: [u8; 32], seq: u64) -> Fields {
    let key = KeypairSigner::from(solana_keypair::Keypair::new_from_array(seed));
    let credential = sign_credential(&key, &channel.into(), OPENED_SLOT, Seq::new(seq)).await.unwrap();
    let CredentialBody { channel, seq, sig } = credential;
    Fields { channel: channel.to_string(), seq: seq.to_string(), sig: sig.to_string() }
}

async fn fields(seq: u64) -> Fields {
    signed_by(CLIENT, CHANNEL, seq).await
}

fn refused(code: Code, more: &[(&str, &str)]) -> Expected {
    let members = [("error", code.as_str())].into_iter().chain(more.iter().copied());
    Expected::Refused(members.map(|(name, value)| (name.to_owned(), value.into())).collect())
}

fn paid(cost: u64, spent: u64) -> Expected {
    let [cost, spent, balance] = [cost, spent, 10_000 - spent].map(Amount::new);
    Expected::Paid { cost, spent, balance }
}

async fn cases() -> Vec<Case> {
    let case = |name: &str, send: Option<Fields>, expect: Expected| Case {
        name: name.to_owned(),
        given: Given::default(),
        before: Vec::new(),
        send,
        expect,
    };
    let good = fields(10).await;
    let invalid_seq = || refused(Code::InvalidSeq, &[]);
    let mut cases = vec![
        case("a call", Some(good.clone()), paid(10, 10)),
        case("no credential", None, refused(Code::NoChannel, &[])),
        case(
            "a ceiling below the price",
            Some(fields(9).await),
            refused(Code::Underfunded, &[("shortage", "ceiling"), ("required_seq", "10"), ("price", "10")]),
        ),
        case(
            "a ceiling above the deposit",
            Some(fields(10_001).await),
            refused(Code::Underfunded, &[("shortage", "balance"), ("balance", "10000")]),
        ),
        case(
            "another's signature",
            Some(signed_by(STRANGER, CHANNEL, 10).await),
            refused(Code::InvalidSig, &[]),
        ),
        case(
            "a signature over another seq",
            Some(Fields { seq: "11".to_owned(), ..good.clone() }),
            refused(Code::InvalidSig, &[]),
        ),
        case(
            "an unknown channel",
            Some(signed_by(CLIENT, [77; 32], 10).await),
            refused(Code::NoChannel, &[]),
        ),
        case(
            "a channel that is no address",
            Some(Fields { channel: "0OIl".to_owned(), ..good.clone() }),
            refused(Code::NoChannel, &[]),
        ),
        case(
            "a signature that is too short",
            Some(Fields { sig: Base58([1; 32]).to_string(), ..good.clone() }),
            refused(Code::InvalidSig, &[]),
        ),
    ];
    for seq in ["+10", "-1", "1e1", "", "0x10", "18446744073709551616"] {
        let send = Fields { seq: seq.to_owned(), ..good.clone() };
        cases.push(case(&format!("a seq that is no number: {seq:?}"), Some(send), invalid_seq()));
    }
    let after = |name: &str, before: Vec<Fields>, send: Fields, expect: Expected| Case {
        before,
        ..case(name, Some(send), expect)
    };
    let used = refused(Code::InvalidSeq, &[("last_seq", "10")]);
    cases.push(after("a seq that was used", vec![good.clone()], good.clone(), used));
    cases.push(after("a second call", vec![good.clone()], fields(20).await, paid(10, 20)));
    cases.push(after("calls out of order", vec![fields(20).await], fields(19).await, paid(10, 20)));
    let given =
        |name: &str, given: Given, expect: Expected| Case { given, ..case(name, Some(good.clone()), expect) };
    let usual = Given::default;
    cases.push(given("a closing channel", Given { closing: true, ..usual() }, refused(Code::Closed, &[])));
    let low = Given { deposited: Some(Amount::new(9)), ..usual() };
    cases.push(given("a deposit below the least", low, refused(Code::DepositLow, &[("min_deposit", "10")])));
    let slow = Given { rate_limit: Some(Amount::new(9)), ..usual() };
    cases.push(given("a price above the rate limit", slow, refused(Code::RateExceeded, &[("price", "10")])));
    cases
}

fn on_wire(body: ErrorBody, grpc: (u8, &str)) -> OnWire {
    let status = body.error.http_status();
    OnWire {
        http: Http { status, retry_after: body.retry_after.map(|seconds| seconds.to_string()) },
        mcp: Mcp { code: -32602, message: body.error.as_str().to_owned() },
        websocket: WebSocket { close: 4_000 + status },
        grpc: Grpc { code: grpc.0, status: grpc.1.to_owned() },
        body,
    }
}

fn refusals() -> Vec<OnWire> {
    let body = |code| ErrorBody { channel: Some(CHANNEL.into()), ..ErrorBody::new(code, "what to do") };
    let (precondition, invalid) = ((9, "FAILED_PRECONDITION"), (3, "INVALID_ARGUMENT"));
    let underfunded = ErrorBody {
        shortage: Some(Shortage::Ceiling),
        required_seq: Some(Seq::MAX),
        price: Some(Amount::new(10)),
        ..body(Code::Underfunded)
    };
    let rate = ErrorBody { retry_after: Some(7), price: Some(Amount::new(10)), ..body(Code::RateExceeded) };
    let seq = ErrorBody { last_seq: Some(Seq::new(41)), ..body(Code::InvalidSeq) };
    let early = ErrorBody { retry_after: Some(60), ..body(Code::SettleEarly) };
    let low = ErrorBody { min_deposit: Some(Amount::new(10)), ..body(Code::DepositLow) };
    vec![
        on_wire(body(Code::NoChannel), precondition),
        on_wire(underfunded, precondition),
        on_wire(body(Code::Closed), precondition),
        on_wire(rate, (8, "RESOURCE_EXHAUSTED")),
        on_wire(seq, invalid),
        on_wire(body(Code::InvalidSig), (16, "UNAUTHENTICATED")),
        on_wire(early, invalid),
        on_wire(low, invalid),
        on_wire(body(Code::InvalidProof), invalid),
    ]
}

/// All refusals, for a binding to write.
pub(crate) fn all_refusals() -> Vec<(Denial, OnWire)> {
    let rows: Vec<OnWire> = read("refusals.json");
    let codes: Vec<Code> = rows.iter().map(|row| row.body.error).collect();
    assert_eq!(codes, Code::ALL, "all nine");
    rows.into_iter().map(|row| (Denial::Refused(Box::new(row.body.clone())), row)).collect()
}

/// What a binding brought back.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Paid {
        cost: Amount,
        spent: Amount,
        balance: Amount,
    },
    /// The error body.
    Refused(Value),
}

/// Runs all cases through a binding: `ask` sends one call of a price of 10 to a new service.
pub(crate) async fn conform<F>(ask: impl Fn(AmpService, Vec<Option<Fields>>) -> F)
where
    F: Future<Output = Vec<Verdict>>,
{
    let cases: Vec<Case> = read("requests.json");
    assert!(cases.len() > 10);
    for case in cases {
        let client = KeypairSigner::from(solana_keypair::Keypair::new_from_array(CLIENT));
        let bench = Bench::of(client);
        let mut account = bench.account();
        let Given { closing, deposited, rate_limit } = case.given;
        if closing {
            (account.books.closing, account.closing_at) = (true, 1);
        }
        account.books.deposited = deposited.unwrap_or(account.books.deposited);
        account.terms.rate_limit = rate_limit.map_or(account.terms.rate_limit, Amount::get);
        bench.chain.put_channel(CHANNEL, &account);
        let service = bench.service_with(bench.config().tool("quote", Amount::new(10))).await;
        let count = case.before.len();
        let sent = case.before.into_iter().map(Some).chain([case.send]).collect();
        let verdicts = ask(service, sent).await;
        assert_eq!(verdicts.len(), count + 1, "{}", case.name);
        for verdict in &verdicts[..count] {
            assert!(matches!(verdict, Verdict::Paid { .. }), "{}: {verdict:?}", case.name);
        }
        match (&verdicts[count], &case.expect) {
            (Verdict::Paid { cost, spent, balance }, Expected::Paid { cost: c, spent: s, balance: b }) => {
                assert_eq!((cost, spent, balance), (c, s, b), "{}", case.name);
            }
            (Verdict::Refused(body), Expected::Refused(members)) => {
                for (name, value) in members {
                    assert_eq!(&body[name], value, "{}: {body}", case.name);
                }
            }
            (found, expected) => panic!("{}: {found:?}, not {expected:?}", case.name),
        }
    }
}

#[tokio::test]
async fn the_tables_are_what_makes_them() {
    check("requests.json", &cases().await);
    check("refusals.json", &refusals());
}

#[tokio::test]
async fn http_gives_every_verdict_of_the_table() {
    conform(async |service: AmpService, sent: Vec<Option<Fields>>| {
        let router = router(&service).0;
        let mut verdicts = Vec::new();
        for fields in sent {
            let mut request = Request::get("/quote");
            for (name, value) in fields.iter().flat_map(|fields| {
                [(header::CHANNEL, &fields.channel), (header::SEQ, &fields.seq), (header::SIG, &fields.sig)]
            }) {
                request = request.header(name, value);
            }
            let answer = call(&router, request.body(Body::empty()).unwrap()).await;
            let amount = |name| Amount::new(answer.header(name).parse().unwrap());
            verdicts.push(match answer.status {
                StatusCode::OK => Verdict::Paid {
                    cost: amount(header::COST),
                    spent: amount(header::SPENT),
                    balance: amount(header::BALANCE),
                },
                _ => Verdict::Refused(answer.body),
            });
        }
        verdicts
    })
    .await;
}

#[tokio::test]
async fn http_writes_every_refusal_of_the_table() {
    let bench = Bench::new();
    let service = bench.service_with(bench.config()).await;
    for (denial, expected) in all_refusals() {
        let response = response_of(&service, &service.pricing("/quote"), &denial);
        let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(Http { status, retry_after: retry }, expected.http);
        assert_eq!(serde_json::from_slice::<ErrorBody>(&body).unwrap(), expected.body);
    }
}
