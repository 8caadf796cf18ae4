//! Whatever anybody sends: no 5xx, no free service, no harm to the channel.

use amp_e2e_tests::{Agent, Answer, DEPOSIT, Market, PRICE};
use amp_protocol::code::Code;
use amp_protocol::json::{Base58, ErrorBody, Shortage};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::{header, path};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use reqwest::Method;
use reqwest::header::HeaderValue;
use tokio::runtime::Runtime;

/// A header's value, as it is sent: `None`, not at all.
type Value = Option<Vec<u8>>;

/// Real values of a channel in use, to be mixed with garbage.
struct Real {
    channel: String,
    used_seq: String,
    used_sig: String,
}

/// Anything that the HTTP library lets through.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![32..127u8, 128..=255u8, Just(b'\t')];
    prop_oneof![
        4 => vec(byte, 0..90),
        2 => "[1-9A-HJ-NP-Za-km-z]{30,100}".prop_map(String::into_bytes),
        2 => any::<[u8; 32]>().prop_map(|bytes| Base58(bytes).to_string().into_bytes()),
        2 => vec(any::<u8>(), 64).prop_map(|bytes| Base58(<[u8; 64]>::try_from(bytes).unwrap()).to_string().into_bytes()),
        1 => any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        1 => any::<u128>().prop_map(|number| number.to_string().into_bytes()),
        1 => Just(vec![b'1'; 10_000]),
        1 => Just(Vec::new()),
    ]
}

/// A real value, or junk, or nothing.
fn value(real: &str) -> impl Strategy<Value = Value> + use<> {
    let real = real.as_bytes().to_vec();
    prop_oneof![
        3 => Just(Some(real)),
        3 => junk().prop_map(Some),
        1 => Just(None),
    ]
}

fn headers(real: &Real) -> impl Strategy<Value = [Vec<Value>; 3]> + use<> {
    // once as a rule, sometimes twice
    let field = |real: &str| vec(value(real), 1..=2);
    let all = (field(&real.channel), field(&real.used_seq), field(&real.used_sig));
    all.prop_map(|(channel, seq, sig)| [channel, seq, sig])
}

fn method() -> impl Strategy<Value = Method> {
    let common = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"];
    proptest::sample::select(common.to_vec()).prop_map(|name| name.parse().unwrap())
}

struct Stage {
    runtime: Runtime,
    market: Market,
    agent: Agent,
    real: Real,
}

impl Stage {
    /// A channel with two calls, the first of which was overheard.
    fn set() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (market, agent, real) = runtime.block_on(async {
            let market = Market::builder()
                .service(|config| config.channel_max_age(std::time::Duration::from_millis(2)))
                .open()
                .await;
            let agent = market.hire().await;
            let first = agent.buy(&market.url("/quote")).await;
            agent.buy(&market.url("/quote")).await;
            let overheard = agent.credential(&market, first.seq.get()).await;
            let real = Real {
                channel: overheard.channel.to_string(),
                used_seq: overheard.seq.to_string(),
                used_sig: overheard.sig.to_string(),
            };
            (market, agent, real)
        });
        Self { runtime, market, agent, real }
    }

    fn send(&self, method: &Method, path: &str, headers: &[Vec<Value>; 3], body: Vec<u8>) -> Answer {
        let mut request = self.market.request(method.clone(), path, None).body(body);
        for (name, values) in [header::CHANNEL, header::SEQ, header::SIG].iter().zip(headers) {
            for value in values.iter().flatten() {
                request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
            }
        }
        self.runtime.block_on(self.market.send(request))
    }

    /// Nothing has come of it: the channel is where it was, and the next call is served and charged.
    fn end(self) {
        let Self { runtime, market, agent, .. } = self;
        runtime.block_on(async {
            assert_eq!(market.served(), 2 * PRICE, "nothing was served");
            let paid = agent.buy(&market.url("/quote")).await;
            assert_eq!((paid.seq, paid.spent), (Seq::new(3 * PRICE), Some(Amount::new(3 * PRICE))));
            market.settle_all().await;
            agent.client.close(market.origin()).await.unwrap();
            assert_eq!(market.money().vaults, 0);
            market.end();
        });
    }
}

/// A refusal with an AMP code of this status, or one of the plain ones.
fn is_a_refusal(answer: &Answer, plain: &[u16], method: &Method) -> Result<(), TestCaseError> {
    prop_assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
    if *method == Method::HEAD {
        prop_assert!(answer.body.is_empty());
        return Ok(());
    }
    match serde_json::from_slice::<ErrorBody>(&answer.body) {
        Ok(body) => {
            prop_assert_eq!(answer.status, body.error.http_status());
            prop_assert!(!body.message.is_empty());
        }
        Err(_) => prop_assert!(plain.contains(&answer.status), "{} {}", answer.status, answer.text()),
    }
    Ok(())
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn no_malformed_or_overheard_credential_is_served() {
    let stage = Stage::set();
    let strategy = (method(), headers(&stage.real), vec(any::<u8>(), 0..100));
    let outcome = runner(400).run(&strategy, |(method, headers, body)| {
        let answer = stage.send(&method, "/quote", &headers, body);
        is_a_refusal(&answer, &[431], &method)
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    stage.end();
}

#[test]
fn the_endpoints_answer_any_method_headers_and_body_with_a_refusal_or_the_truth() {
    let stage = Stage::set();
    let endpoints =
        [path::DISCOVERY, path::CHANNEL, path::CREDENTIAL, path::CLOSE, path::PREFIX, "/.well-known/amp"];
    let paths = prop_oneof![
        5 => proptest::sample::select(endpoints.to_vec()).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9%._~/-]{0,20}".prop_map(|tail| format!("{}{tail}", path::PREFIX)),
    ];
    let json = {
        let Real { channel, used_seq, used_sig } = &stage.real;
        let real = format!(r#"{{"channel":"{channel}","seq":"{used_seq}","sig":"{used_sig}"}}"#);
        prop_oneof![
            2 => vec(any::<u8>(), 0..200),
            1 => vec(any::<u8>(), 4_000..6_000),
            2 => Just(real.clone().into_bytes()),
            // a real body with one byte replaced
            2 => (any::<proptest::sample::Index>(), any::<u8>()).prop_map(move |(index, byte)| {
                let mut bytes = real.clone().into_bytes();
                let index = index.index(bytes.len());
                bytes[index] = byte;
                bytes
            }),
            1 => Just(vec![b'['; 4_000]),
        ]
    };
    let none = Just([vec![], vec![], vec![]]);
    let headers = prop_oneof![headers(&stage.real), none];
    let outcome = runner(600).run(&(method(), paths, headers, json), |(method, path, headers, body)| {
        let answer = stage.send(&method, &path, &headers, body);
        let read = method == Method::GET || method == Method::HEAD;
        if answer.status == 200 {
            // who holds a good credential, even a used one, may ask how things stand
            let truth = read && (path == path::DISCOVERY || path == path::CHANNEL);
            prop_assert!(truth, "{method} {path}: {}", answer.text());
            return Ok(());
        }
        // a path that escapes the prefix is a priced route
        is_a_refusal(&answer, &[404, 405, 413, 431], &method)
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    stage.end();
}

#[test]
fn a_seq_above_the_deposit_burns_nothing() {
    let stage = Stage::set();
    let (market, agent) = (&stage.market, &stage.agent);
    stage.runtime.block_on(async {
        for seq in [DEPOSIT + 1, 2 * DEPOSIT, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX] {
            let credential = agent.credential(market, seq).await;
            for (method, path) in
                [(Method::GET, "/quote"), (Method::POST, path::CREDENTIAL), (Method::GET, "/fail")]
            {
                let answer = market.send(market.request(method, path, Some(&credential))).await;
                let refused = answer.refused(Code::Underfunded);
                assert_eq!(refused.shortage, Some(Shortage::Balance), "{seq} {path}");
                assert_eq!(refused.balance, Some(Amount::new(DEPOSIT - 2 * PRICE)));
                assert_eq!(refused.required_seq, None, "no seq would do");
            }
        }
    });
    stage.end();
}

#[test]
fn a_raised_ceiling_costs_nothing_and_is_used_up_by_later_calls() {
    let stage = Stage::set();
    stage.runtime.block_on(async {
        let (market, agent) = (&stage.market, &stage.agent);
        let raised = agent.credential(market, DEPOSIT).await;
        let answer = market.post_with(path::CREDENTIAL, &raised).await;
        assert_eq!((answer.status, answer.paid()), (200, [DEPOSIT - 2 * PRICE, 2 * PRICE, 0]));
        market.post_with(path::CREDENTIAL, &raised).await.refused(Code::InvalidSeq);
        // the whole deposit is authorized: lower seqs that are new are enough now
        let low = agent.credential(market, DEPOSIT - 1).await;
        assert_eq!(market.get_with("/quote", &low).await.paid()[1], 3 * PRICE);
        market.settle_all().await;
        assert_eq!(market.earned(), 3 * PRICE, "only what was used is claimed");
    });
    stage.market.end();
}
