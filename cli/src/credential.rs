//! Credentials as they are handed around: JSON, the three headers, or a file of either.

use std::io::Read;

use amp_sdk::protocol::json::CredentialBody;
use amp_sdk::protocol::text::{header, mcp};
use anyhow::Context;
use serde_json::Value;

use crate::exit::{Exit, failure};

/// A text that was given on the command line: itself, `@FILE`, or `-` for standard input.
pub(crate) fn given(text: &str) -> anyhow::Result<String> {
    if text == "-" {
        let mut all = String::new();
        std::io::stdin().read_to_string(&mut all).context("can't read standard input")?;
        return Ok(all);
    }
    match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("can't read {file}")),
        None => Ok(text.to_owned()),
    }
}

/// Header lines as pairs, or `None` where a line is none.
pub(crate) fn headers(text: &str) -> Option<Vec<(String, String)>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        is_name.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    lines.map(pair).collect()
}

/// Reads a credential: its JSON, `_amp` and `_meta.amp` around it, or the headers `AMP-Channel`, `AMP-Seq`,
/// `AMP-Sig`.
pub(crate) fn parse(text: &str) -> anyhow::Result<CredentialBody> {
    let none = || {
        failure(
            Exit::Usage,
            "not a credential: give its JSON {\"channel\", \"seq\", \"sig\"}, or the lines AMP-Channel, AMP-Seq, AMP-Sig",
        )
    };
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return in_json(&value).ok_or_else(none);
    }
    let headers = headers(text).ok_or_else(none)?;
    in_headers(&headers).ok_or_else(none)
}

/// The credential in a JSON value.
pub(crate) fn in_json(value: &Value) -> Option<CredentialBody> {
    let places = [Some(value), value.get(mcp::FIELD), value.pointer("/_meta/amp")];
    places.into_iter().flatten().find_map(|place| serde_json::from_value(place.clone()).ok())
}

/// The credential in header lines.
pub(crate) fn in_headers(headers: &[(String, String)]) -> Option<CredentialBody> {
    let value = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    Some(CredentialBody {
        channel: value(header::CHANNEL)?.parse().ok()?,
        seq: value(header::SEQ)?.parse().ok()?,
        sig: value(header::SIG)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_sdk::protocol::json::Base58;
    use amp_sdk::protocol::money::Seq;

    #[test]
    fn a_credential_reads_back_from_each_of_its_forms() {
        let (channel, sig) = (Base58([1; 32]), Base58([2; 64]));
        let credential = CredentialBody { channel, seq: Seq::new(7), sig };
        let json = serde_json::to_value(credential).unwrap();
        for text in [
            json.to_string(),
            serde_json::json!({"_amp": json}).to_string(),
            serde_json::json!({"_meta": {"amp": json}}).to_string(),
            format!("AMP-Channel: {channel}\r\nAMP-Seq: 7\namp-sig:{sig}\n"),
        ] {
            assert_eq!(parse(&text).unwrap(), credential, "{text}");
        }
        for text in
            ["", "{}", "[]", "AMP-Seq: 7", &format!("AMP-Channel: {channel}\nAMP-Seq: -7\nAMP-Sig: {sig}")]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
