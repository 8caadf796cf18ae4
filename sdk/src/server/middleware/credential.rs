use amp_protocol::code::Code;
use amp_protocol::json::{Base58, CredentialBody};
use amp_protocol::money::Seq;
use amp_protocol::text::header;
use http::HeaderMap;

use crate::server::denial::Denial;

/// Reads the three AMP headers, for a service with a middleware of its own; `None` where there is none of
/// them. What is missing or malformed is refused with the code of that field and what it should be.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<CredentialBody>, Denial> {
    if [header::CHANNEL, header::SEQ, header::SIG].iter().all(|name| !headers.contains_key(*name)) {
        return Ok(None);
    }
    let channel = field(headers, header::CHANNEL, Code::NoChannel, "the channel's address in base58")?;
    let channel: Base58<32> = channel.parse().map_err(|_| {
        refuse(Code::NoChannel, header::CHANNEL, "is not an address: send the channel's 32 bytes in base58")
    })?;
    let seq = field(headers, header::SEQ, Code::InvalidSeq, "the seq in decimal")?;
    let seq = number(seq).ok_or_else(|| {
        refuse(Code::InvalidSeq, header::SEQ, "is not a seq: send a decimal number of at most 64 bits")
    })?;
    let sig = field(headers, header::SIG, Code::InvalidSig, "the signature in base58")?;
    let sig = sig.parse().map_err(|_| {
        refuse(Code::InvalidSig, header::SIG, "is not a signature: send its 64 bytes in base58")
    })?;
    Ok(Some(CredentialBody { channel, seq, sig }))
}

/// Digits and nothing else: no sign, no spaces.
fn number(text: &str) -> Option<Seq> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The one value of a header. Of two values, the one that is checked might not be the one that the
/// service behind the layer reads.
fn field<'a>(headers: &'a HeaderMap, name: &str, code: Code, what: &str) -> Result<&'a str, Denial> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| refuse(code, name, &format!("is missing: send {what}")))?;
    if values.next().is_some() {
        return Err(refuse(code, name, "was sent more than once: send it once"));
    }
    value.to_str().map_err(|_| refuse(code, name, &format!("is not plain ASCII: send {what}")))
}

fn refuse(code: Code, name: &str, what: &str) -> Denial {
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
}
