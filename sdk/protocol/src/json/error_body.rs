use std::string::String;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::base58::Base58;
use super::pricing::Pricing;
use crate::code::Code;
use crate::money::{Amount, Seq};

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which budget is too small, in an `AMP_UNDERFUNDED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortage {
    /// The deposit: top up.
    Balance,
    /// The credential's ceiling: send a higher seq (`required_seq`).
    Ceiling,
    /// The delegate's limit: ask the funder to raise it.
    DelegateLimit,
}

/// The error body, the same object on every transport: `{"error": code, "message": text, ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The code.
    pub error: Code,
    /// What is wrong and what to do about it, for a person.
    pub message: String,
    /// The channel it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Base58<32>>,
    /// `AMP_UNDERFUNDED`: which budget is too small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
    /// `AMP_UNDERFUNDED`: the smallest seq whose ceiling covers the price.
    #[serde(default, alias = "requiredSeq", skip_serializing_if = "Option::is_none")]
    pub required_seq: Option<Seq>,
    /// `AMP_INVALID_SEQ`: the highest seq accepted from this signer.
    #[serde(default, alias = "lastSeq", skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<Seq>,
    /// The price that was to be charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// What is left of the deposit, or of the delegate's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Amount>,
    /// `AMP_DEPOSIT_LOW`: the smallest deposit that is served.
    #[serde(default, alias = "minDeposit", skip_serializing_if = "Option::is_none")]
    pub min_deposit: Option<Amount>,
    /// Seconds after which it may work: `AMP_RATE_EXCEEDED`, `AMP_SETTLE_EARLY`.
    #[serde(default, alias = "retryAfter", skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The price list entry, on transports without an `AMP-Pricing` header.
    #[serde(default, alias = "ampPricing", skip_serializing_if = "Option::is_none")]
    pub amp_pricing: Option<Pricing>,
}

impl ErrorBody {
    /// A body with code and message only.
    pub fn new(error: Code, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
            channel: None,
            shortage: None,
            required_seq: None,
            last_seq: None,
            price: None,
            balance: None,
            min_deposit: None,
            retry_after: None,
            amp_pricing: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_what_applies_and_nothing_else() {
        let body =
            ErrorBody { required_seq: Some(Seq::new(7)), ..ErrorBody::new(Code::Underfunded, "too low") };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"error":"AMP_UNDERFUNDED","message":"too low","required_seq":"7"}"#);
        assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap(), body);
    }
}
