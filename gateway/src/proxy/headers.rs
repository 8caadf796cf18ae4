//! Which headers go on, each way.

use std::net::IpAddr;

use amp_sdk::server::Payment;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// To the API: the channel that pays, base58.
const CHANNEL: HeaderName = HeaderName::from_static("amp-channel");
/// To the API: the key that signed, base58: the channel's authorized signer or a delegate.
const PAYER: HeaderName = HeaderName::from_static("amp-payer");
/// To the API: the seq of the request, unique among the payer's.
const SEQ: HeaderName = HeaderName::from_static("amp-seq");
/// To the API: what the request costs if it succeeds, in base units; where it is metered, what one thing costs.
const COST: HeaderName = HeaderName::from_static("amp-cost");
/// From the API: how many units the answer is, where they are what is paid for.
pub(super) const UNITS: HeaderName = HeaderName::from_static("amp-units");

/// Removes what is between two neighbours only (RFC 9110, 7.6.1). A request's framing is made anew: a length that
/// came beside a transfer coding is a smuggler's.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // whoever says so names it in `Connection`, too; it holds for the next hop as well, since trailers pass
    let trailers = headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
    headers.remove("http2-settings");
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes from trailers what would not pass as a header, and what only a head may say (RFC 9110, 6.5.1): many APIs and
/// clients take them for headers that came late.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    strip_amp(trailers);
    for name in [TE, CONTENT_LENGTH, HOST, FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO] {
        trailers.remove(name);
    }
}

/// Removes all `AMP-*`, in every spelling that an API may take for it: many read `AMP_PAYER` as `AMP-Payer`.
pub(crate) fn strip_amp(headers: &mut HeaderMap) {
    let is_amp = |name: &&HeaderName| {
        let name = name.as_str().as_bytes();
        name.strip_prefix(b"amp").and_then(<[u8]>::first).is_some_and(|next| !next.is_ascii_alphanumeric())
    };
    let found: Vec<HeaderName> = headers.keys().filter(is_amp).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Tells the API who pays, and how much; nobody, where nothing is paid. What a client says of it is gone.
pub(crate) fn identify(headers: &mut HeaderMap, payment: Option<&Payment>) {
    strip_amp(headers);
    let Some(Payment { channel, signer, seq, price }) = payment else { return };
    let said = [
        (CHANNEL, channel.to_string()),
        (PAYER, signer.to_string()),
        (SEQ, seq.to_string()),
        (COST, price.to_string()),
    ];
    for (name, value) in said {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Who asked, as far as it is known.
pub(super) struct Asker {
    /// The other end of the connection.
    pub(super) connected: Option<IpAddr>,
    /// Whether that is a proxy of ours, whose word counts.
    pub(super) trusted: bool,
    /// The host that was asked.
    pub(super) host: Option<HeaderValue>,
}

/// Tells the API who asked for what. What clients say of it is believed of trusted proxies alone.
pub(super) fn forwarded(headers: &mut HeaderMap, asker: &Asker) {
    let mut chain = String::new();
    if asker.trusted {
        for value in headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()) {
            chain.push_str(value);
            chain.push_str(", ");
        }
    } else {
        for name in [FORWARDED, FORWARDED_HOST, FORWARDED_PROTO] {
            headers.remove(name);
        }
    }
    headers.remove(FORWARDED_FOR);
    if let Some(address) = asker.connected {
        chain.push_str(&address.to_string());
    }
    if let Ok(value) = HeaderValue::from_str(chain.trim_end_matches(", "))
        && !value.is_empty()
    {
        headers.insert(FORWARDED_FOR, value);
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = &asker.host
    {
        headers.insert(FORWARDED_HOST, host.clone());
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
}

/// A request's headers for HTTP/1.1, whatever it came by.
pub(super) fn as_http_1(headers: &mut HeaderMap, host: Option<HeaderValue>) {
    // answered here, before the body is read
    headers.remove(EXPECT);
    // HTTP/2 sends them one by one (RFC 9113, 8.2.3)
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(all) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, all);
    }
    headers.remove(HOST);
    if let Some(host) = host {
        headers.insert(HOST, host);
    }
}

/// Whether a connection is to become another protocol's.
pub(crate) fn upgrade_to(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asks =
        asks.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asks).cloned()
}

/// How many units the API said that its answer is; the header itself is between the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units(pub(crate) u64);

/// Whether an upgrade is to WebSocket's protocol.
pub(crate) fn is_websocket(protocol: &HeaderValue) -> bool {
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
}

#[cfg(test)]
mod tests {
    use amp_protocol::money::{Amount, Seq};
    use solana_address::Address;

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(header) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn what_is_for_the_next_hop_only_goes_no_further() {
        let mut headers = of(&[
            ("connection", "close, X-Mine, TE"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("proxy-authorization", "secret"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, of(&[("accept", "*/*"), ("te", "trailers")]));
    }

    #[test]
    fn a_trailer_says_nothing_that_a_header_may_not() {
        let mut trailers = of(&[
            ("amp-cost", "0"),
            ("amp_payer", "me"),
            ("connection", "x-mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("content-length", "5"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-checksum", "7"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(trailers, of(&[("x-checksum", "7")]));
    }

    #[test]
    fn what_a_client_says_of_payments_is_gone_in_every_spelling() {
        let mut headers = of(&[
            ("amp-payer", "me"),
            ("AMP_PAYER", "me"),
            ("amp-cost", "0"),
            ("amp_anything", "x"),
            ("amp-sig", "s"),
            ("amplitude", "stays"),
        ]);
        let payment = Payment {
            channel: Address::from([1; 32]),
            signer: Address::from([2; 32]),
            seq: Seq::new(7),
            price: Amount::new(9),
        };
        identify(&mut headers, Some(&payment));
        assert_eq!(headers.len(), 5);
        assert_eq!(headers[PAYER], Address::from([2; 32]).to_string());
        assert_eq!((headers[COST].as_bytes(), headers[SEQ].as_bytes()), (&b"9"[..], &b"7"[..]));
        identify(&mut headers, None);
        assert_eq!(headers, of(&[("amplitude", "stays")]));
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_about_who_asked() {
        let said =
            [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "https"), ("forwarded", "for=6.6.6.6")];
        let host = Some(HeaderValue::from_static("api.example"));
        let connected = Some([127, 0, 0, 1].into());
        let mut headers = of(&said);
        forwarded(&mut headers, &Asker { connected, trusted: false, host: host.clone() });
        let plain = [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(headers, of(&plain));
        let mut headers = of(&said);
        forwarded(&mut headers, &Asker { connected, trusted: true, host });
        assert_eq!(headers[FORWARDED_FOR], "6.6.6.6, 127.0.0.1");
        assert_eq!(headers[FORWARDED_PROTO], "https");
    }

    #[test]
    fn cookies_of_http_2_are_one_header_and_the_host_is_the_one_that_is_given() {
        let mut headers =
            of(&[("cookie", "a=1"), ("cookie", "b=2"), ("expect", "100-continue"), ("host", "x")]);
        as_http_1(&mut headers, Some(HeaderValue::from_static("y")));
        assert_eq!(headers, of(&[("cookie", "a=1; b=2"), ("host", "y")]));
    }
}
