use amp_protocol::code::Code;
use amp_protocol::json::{Base58, CredentialBody};
use amp_protocol::money::Seq;
use amp_protocol::text::header;
use http::{HeaderMap, HeaderName};

use crate::server::denial::Denial;

static CHANNEL: HeaderName = HeaderName::from_static(header::CHANNEL);
static SEQ: HeaderName = HeaderName::from_static(header::SEQ);
static SIG: HeaderName = HeaderName::from_static(header::SIG);

/// Reads the three AMP headers, for a service with a middleware of its own; `None` where there is none of
/// them. What is missing or malformed is refused with the code of that field and what it should be.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<CredentialBody>, Denial> {
    if [&CHANNEL, &SEQ, &SIG].iter().all(|name| !headers.contains_key(*name)) {
        return Ok(None);
    }
    let channel = field(headers, &CHANNEL, Code::NoChannel, "the channel's address in base58")?;
    let mut bytes = [0; 32];
    five8::decode_32(channel, &mut bytes).map_err(|_| {
        refuse(Code::NoChannel, &CHANNEL, "is not an address: send the channel's 32 bytes in base58")
    })?;
    let channel = Base58(bytes);
    let seq = field(headers, &SEQ, Code::InvalidSeq, "the seq in decimal")?;
    let seq = number(seq).ok_or_else(|| {
        refuse(Code::InvalidSeq, &SEQ, "is not a seq: send a decimal number of at most 64 bits")
    })?;
    let sig = field(headers, &SIG, Code::InvalidSig, "the signature in base58")?;
    let mut bytes = [0; 64];
    five8::decode_64(sig, &mut bytes)
        .map_err(|_| refuse(Code::InvalidSig, &SIG, "is not a signature: send its 64 bytes in base58"))?;
    Ok(Some(CredentialBody { channel, seq, sig: Base58(bytes) }))
}

/// Digits and nothing else: no sign, no spaces.
fn number(text: &str) -> Option<Seq> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The one value of a header. Of two values, the one that is checked might not be the one that the
/// service behind the layer reads.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName, code: Code, what: &str) -> Result<&'a str, Denial> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| refuse(code, name, &format!("is missing: send {what}")))?;
    if values.next().is_some() {
        return Err(refuse(code, name, "was sent more than once: send it once"));
    }
    value.to_str().map_err(|_| refuse(code, name, &format!("is not plain ASCII: send {what}")))
}

fn refuse(code: Code, name: &HeaderName, what: &str) -> Denial {
    Denial::new(code, None, format!("the header {name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn good() -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: String| headers.insert(name, value.parse().unwrap());
        set(header::CHANNEL, Base58([7; 32]).to_string());
        set(header::SEQ, "42".to_owned());
        set(header::SIG, Base58([8; 64]).to_string());
        headers
    }

    fn code(headers: &HeaderMap) -> Code {
        let denial = from_headers(headers).unwrap_err();
        assert!(denial.to_string().contains("send"), "says what to do: {denial}");
        denial.code().unwrap()
    }

    const FIELDS: [(&str, Code); 3] = [
        (header::CHANNEL, Code::NoChannel),
        (header::SEQ, Code::InvalidSeq),
        (header::SIG, Code::InvalidSig),
    ];

    #[test]
    fn three_good_headers_are_a_credential_and_none_is_none() {
        let credential = from_headers(&good()).unwrap().unwrap();
        assert_eq!(
            (credential.channel.0, credential.seq, credential.sig.0),
            ([7; 32], Seq::new(42), [8; 64])
        );
        assert_eq!(from_headers(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_missing_header_is_refused_with_its_own_code() {
        for (name, expected) in FIELDS {
            let mut headers = good();
            headers.remove(name);
            assert_eq!(code(&headers), expected, "{name}");
        }
    }

    #[test]
    fn a_repeated_header_is_refused_even_with_the_same_value() {
        for (name, expected) in FIELDS {
            let mut headers = good();
            let value = headers[name].clone();
            headers.append(http::HeaderName::from_static(name), value);
            assert_eq!(code(&headers), expected, "{name}");
        }
    }

    #[test]
    fn malformed_values_are_refused_with_the_code_of_their_field() {
        let long = "1".repeat(8_000);
        let short = Base58([7; 31]).to_string();
        for value in
            ["", " ", "0OIl", "-1", "+42", "1.5", "4 2", "0x10", "18446744073709551616", &long, &short]
        {
            for (name, expected) in FIELDS {
                let mut headers = good();
                headers.insert(name, HeaderValue::from_str(value).unwrap());
                assert_eq!(code(&headers), expected, "{name}: {value}");
            }
        }
        for (name, expected) in FIELDS {
            let mut headers = good();
            headers.insert(name, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
            assert_eq!(code(&headers), expected, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn addresses_and_signatures_are_read_as_everywhere_else(
            key: [u8; 32], zeros in 0..32usize, text in "[1-9A-HJ-NP-Za-km-z]{0,90}"
        ) {
            let mut key = key;
            key[..zeros].fill(0);
            let sig = [key, key].concat().try_into().unwrap();
            for text in [Base58(key).to_string(), Base58::<64>(sig).to_string(), text] {
                let mut headers = good();
                headers.insert(header::CHANNEL, text.parse().unwrap());
                let channel = from_headers(&headers).ok().flatten().map(|read| read.channel);
                proptest::prop_assert_eq!(channel, text.parse().ok());
                let mut headers = good();
                headers.insert(header::SIG, text.parse().unwrap());
                let sig = from_headers(&headers).ok().flatten().map(|read| read.sig);
                proptest::prop_assert_eq!(sig, text.parse().ok());
            }
        }
    }
}
