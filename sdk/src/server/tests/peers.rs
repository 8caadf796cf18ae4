//! What one peer can make the service look up.

use super::*;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use amp_protocol::text::path;
use axum::extract::ConnectInfo;
use tokio::time::advance;

use crate::server::testing::channel_account;

const ATTACKER: &str = "192.0.2.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Of whom each may cause three look-ups, and one more a second.
async fn stage() -> Stage {
    let bench = Bench::new();
    for channel in 100..110 {
        bench.another([channel; 32]);
    }
    Stage::over(bench, |config| config.peer_lookups(1, 3)).await
}

/// `/quote` from an address.
async fn quote_from(stage: &Stage, peer: &str, credential: &CredentialBody) -> Answer {
    let mut request = signed(Request::get("/quote"), credential).body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(ip(peer), 7)));
    call(&stage.router, request).await
}

/// A credential for a channel that nobody opened.
async fn made_up(stage: &Stage, number: u8) -> CredentialBody {
    stage.bench.credential_on([number; 32], 10).await
}

/// Asks for made up channels until there is nothing left.
async fn use_up(stage: &Stage, peer: &str) {
    for number in 21..=23 {
        let answer = quote_from(stage, peer, &made_up(stage, number).await).await;
        assert_eq!(answer.code(), (402, "AMP_NO_CHANNEL"));
    }
}

#[tokio::test(start_paused = true)]
async fn made_up_channels_cost_the_budget_and_beyond_it_nothing_is_looked_up() {
    let stage = stage().await;
    use_up(&stage, ATTACKER).await;
    let reads = stage.bench.chain.reads();
    let refused = quote_from(&stage, ATTACKER, &made_up(&stage, 30).await).await;
    assert_eq!((refused.code(), refused.header("retry-after")), ((503, "UNAVAILABLE"), "1"));
    assert_eq!(stage.bench.chain.reads(), reads);
    advance(Duration::from_secs(1)).await;
    let again = quote_from(&stage, ATTACKER, &made_up(&stage, 30).await).await;
    assert_eq!(again.code(), (402, "AMP_NO_CHANNEL"));
    let other = quote_from(&stage, "192.0.2.2", &made_up(&stage, 31).await).await;
    assert_eq!(other.code(), (402, "AMP_NO_CHANNEL"), "others have their own");
}

#[tokio::test(start_paused = true)]
async fn bad_signatures_cost_the_budget_and_known_channels_are_served_without_one() {
    let stage = stage().await;
    stage.quote(10).await.paid();
    for channel in 100..104 {
        stage.quote_on([channel; 32], 10).await.paid();
    }
    advance(Duration::from_secs(5)).await;
    for channel in 100..104 {
        // signed for another channel
        let mut bad = stage.bench.credential_on([channel; 32], 20).await;
        bad.sig = stage.bench.credential_on([99; 32], 20).await.sig;
        let expected = if channel < 103 { (401, "AMP_INVALID_SIG") } else { (503, "UNAVAILABLE") };
        assert_eq!(quote_from(&stage, ATTACKER, &bad).await.code(), expected);
    }
    // an honest client behind the same address
    for call in 2..20 {
        advance(Duration::from_secs(16)).await;
        use_up(&stage, ATTACKER).await;
        let good = stage.bench.credential(call * 10).await;
        quote_from(&stage, ATTACKER, &good).await.paid();
    }
}

#[tokio::test]
async fn what_proves_to_be_signed_costs_nothing() {
    let stage = stage().await;
    for channel in 100..110 {
        let first = stage.bench.credential_on([channel; 32], 10).await;
        quote_from(&stage, ATTACKER, &first).await.paid();
    }
    pass(Duration::from_secs(5)).await;
    // each is reopened behind the service's back: a look finds it
    for channel in 100..110 {
        let account = stage.bench.chain.channel_at([channel; 32]);
        let next = amp_protocol::account::ChannelAccount { opened_slot: 99, ..account };
        stage.bench.chain.put_channel([channel; 32], &next);
        let address = solana_address::Address::from([channel; 32]);
        let (key, seq) = (&stage.bench.client, amp_protocol::money::Seq::new(10));
        let credential = crate::signed::sign_credential(key, &address, 99, seq).await.unwrap();
        quote_from(&stage, ATTACKER, &credential).await.paid();
    }
    // and what its signer is refused for makes it look, too
    stage.quote(10).await.paid();
    use_up(&stage, ATTACKER).await;
    let dear = stage.bench.credential(10_001).await;
    assert_eq!(quote_from(&stage, ATTACKER, &dear).await.code(), (402, "AMP_UNDERFUNDED"));
}

#[tokio::test]
async fn a_channel_that_was_served_before_a_restart_is_known() {
    let Stage { bench, service, router, .. } = stage().await;
    let first = bench.credential(10).await;
    service.raise_ceiling(&first).await.unwrap();
    service.shutdown().await;
    drop((service, router));
    drop(bench.store().await);
    let stage = Stage::over(bench, |config| config.peer_lookups(1, 3)).await;
    use_up(&stage, ATTACKER).await;
    let next = stage.bench.credential(20).await;
    quote_from(&stage, ATTACKER, &next).await.paid();
}

#[tokio::test(start_paused = true)]
async fn channels_that_pay_others_cost_the_budget_of_who_did_not_sign_for_them() {
    let stage = stage().await;
    for number in 30..34 {
        stage.bench.chain.put_channel([number; 32], &channel_account());
    }
    for number in 30..33 {
        let answer = quote_from(&stage, ATTACKER, &made_up(&stage, number).await).await;
        assert_eq!(answer.code(), (402, "AMP_NO_CHANNEL"));
    }
    let answer = quote_from(&stage, ATTACKER, &made_up(&stage, 33).await).await;
    assert_eq!(answer.code(), (503, "UNAVAILABLE"));
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_cost_the_same_budget() {
    let stage = stage().await;
    use_up(&stage, ATTACKER).await;
    for path in [path::CREDENTIAL, path::CLOSE] {
        let credential = made_up(&stage, 40).await;
        let mut request = signed(Request::post(path), &credential).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(ip(ATTACKER), 8)));
        assert_eq!(call(&stage.router, request).await.code(), (503, "UNAVAILABLE"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_transports_name_the_peer_and_without_one_only_what_bounds_all_holds() {
    let stage = stage().await;
    let of = stage.service.for_peer(ip(ATTACKER));
    let ask = async |service: &AmpService, number| {
        let credential = made_up(&stage, number).await;
        service.authorize(&credential, amp_protocol::money::Amount::new(10)).await.unwrap_err().code()
    };
    let no_channel = Some(amp_protocol::code::Code::NoChannel);
    for number in 30..33 {
        assert_eq!(ask(&of, number).await, no_channel);
    }
    assert_eq!(ask(&of, 33).await, None);
    for number in 40..60 {
        assert_eq!(ask(&stage.service, number).await, no_channel);
    }
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_address_is_believed_only_where_the_operator_says_so() {
    let stage = stage().await;
    let forwarded = async |router: &Router, number: u8, from: &str| {
        let credential = made_up(&stage, number).await;
        let request = signed(Request::get("/quote"), &credential).header("x-forwarded-for", from);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(ip(ATTACKER), 9)));
        call(router, request).await.status.as_u16()
    };
    for number in 30..33 {
        assert_eq!(forwarded(&stage.router, number, &format!("203.0.113.{number}")).await, 402);
    }
    assert_eq!(forwarded(&stage.router, 33, "203.0.113.33").await, 503);
    let layer = AmpLayer::new(stage.service.clone()).peer(|headers, connected| {
        let proxy = (connected == Some(ip(ATTACKER))).then_some(headers)?;
        proxy.get("x-forwarded-for")?.to_str().ok()?.parse().ok()
    });
    let behind = Router::new().route("/quote", get(|| async { "42" })).layer(layer);
    for number in 34..44 {
        assert_eq!(forwarded(&behind, number, &format!("203.0.113.{number}")).await, 402);
    }
}
