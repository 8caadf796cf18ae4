use amp_protocol::code::Code;
use amp_protocol::json::CredentialBody;
use amp_protocol::text::header;
use amp_sdk::server::credential_from_headers;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Verdict;

const NAMES: [&str; 4] = [header::CHANNEL, header::SEQ, header::SIG, "host"];
/// No refusal says more than this, whatever was sent.
const LONGEST_MESSAGE: usize = 200;

/// The three AMP headers: lines of one byte for the name and any others for the value. A credential is read
/// exactly where each header stands once and says what a plain reader finds in it; a refusal is that of the
/// first header that does not.
pub fn credential_headers(input: &[u8]) -> Verdict {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_first() else { continue };
        // what the HTTP library lets through
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(HeaderName::from_static(NAMES[usize::from(name % 4)]), value);
    }
    let read = credential_from_headers(&headers);
    match (&read, plain_reading(&headers)) {
        (Ok(None), Ok(None)) => {}
        (Ok(Some(read)), Ok(Some(plain))) => {
            assert_eq!((read.channel.0.to_vec(), read.seq.get(), read.sig.0.to_vec()), plain);
            survives(read);
        }
        (Err(denial), Err(code)) => {
            assert_eq!(denial.code(), Some(code));
            assert!(denial.to_string().len() < LONGEST_MESSAGE);
        }
        (read, plain) => panic!("{read:?}, but {plain:?}"),
    }
    if matches!(read, Ok(Some(_))) { Verdict::Accepted } else { Verdict::Refused }
}

type Plain = (Vec<u8>, u64, Vec<u8>);

fn plain_reading(headers: &HeaderMap) -> Result<Option<Plain>, Code> {
    if NAMES[..3].iter().all(|name| headers.get(*name).is_none()) {
        return Ok(None);
    }
    let channel = once(headers, header::CHANNEL).and_then(|text| base58(text, 32)).ok_or(Code::NoChannel)?;
    let seq = once(headers, header::SEQ).and_then(decimal).ok_or(Code::InvalidSeq)?;
    let sig = once(headers, header::SIG).and_then(|text| base58(text, 64)).ok_or(Code::InvalidSig)?;
    Ok(Some((channel, seq, sig)))
}

fn once<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    let [value] = values[..] else { return None };
    Some(value.as_bytes())
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let start = (!text.is_empty()).then_some(0_u64);
    text.iter().fold(start, |number, byte| number?.checked_mul(10)?.checked_add(digit(byte)?))
}

/// Base 58 by the book: a leading 1 is a zero byte, the rest is one large number.
fn base58(text: &[u8], length: usize) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let zeros = text.iter().take_while(|letter| **letter == b'1').count();
    // the lowest byte first
    let mut number: Vec<u8> = Vec::new();
    for letter in &text[zeros..] {
        let mut carry = ALPHABET.iter().position(|one| one == letter)?;
        for byte in &mut number {
            carry += usize::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            number.push(carry as u8);
        }
        if number.len() > length {
            return None;
        }
    }
    number.extend(std::iter::repeat_n(0, zeros));
    number.reverse();
    (number.len() == length).then_some(number)
}

/// Written as headers, and as JSON, it is read as the same.
fn survives(read: &CredentialBody) {
    let mut headers = HeaderMap::new();
    let texts = [read.channel.to_string(), read.seq.to_string(), read.sig.to_string()];
    for (name, text) in NAMES.into_iter().zip(texts) {
        headers.insert(HeaderName::from_static(name), text.parse().unwrap());
    }
    assert_eq!(credential_from_headers(&headers), Ok(Some(*read)));
    let json = serde_json::to_vec(read).unwrap();
    assert_eq!(serde_json::from_slice::<CredentialBody>(&json).unwrap(), *read);
}
