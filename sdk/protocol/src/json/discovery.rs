use core::fmt;
use std::string::String;

use serde::{Deserialize, Serialize};

use super::base58::Base58;
use super::pricing::PricingTable;
use crate::money::UnitPrice;
use crate::text::AMP_VERSION;

/// `GET /.well-known/amp.json`: who is paid, by which program, for what price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveryDocument {
    /// `"1.0"`.
    #[serde(alias = "ampVersion")]
    pub amp_version: String,
    /// The service's key.
    pub recipient: Base58<32>,
    /// The program it settles with. A client compares it with the one it pins.
    #[serde(alias = "programId")]
    pub program_id: Base58<32>,
    /// One of [`crate::text::network`].
    pub network: String,
    /// The prices.
    pub pricing: PricingTable,
    /// The unit price the service suggests for a channel.
    #[serde(alias = "unitPrice", default = "one")]
    pub unit_price: UnitPrice,
    /// How many accepted seqs are remembered for out-of-order requests; 0: strictly increasing.
    #[serde(alias = "seqWindow", default)]
    pub seq_window: u32,
    /// Shortest close grace that is served, in seconds.
    #[serde(alias = "minCloseGrace", default)]
    pub min_close_grace: u32,
}

fn one() -> UnitPrice {
    UnitPrice::ONE
}

/// Why a discovery document can't be used.
#[derive(Debug)]
pub enum DiscoveryError {
    /// Not the JSON of a discovery document.
    Json(serde_json::Error),
    /// A protocol version this crate does not speak.
    Version(String),
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "not a discovery document: {error}"),
            Self::Version(version) => {
                write!(f, "the service speaks AMP {version}, this client {AMP_VERSION}")
            }
        }
    }
}

impl core::error::Error for DiscoveryError {}

impl DiscoveryDocument {
    /// Reads a document and checks that its version is one this crate speaks (any 1.x).
    pub fn parse(bytes: &[u8]) -> Result<Self, DiscoveryError> {
        let document: Self = serde_json::from_slice(bytes).map_err(DiscoveryError::Json)?;
        document.of_known_version()
    }

    /// The document, if its version is one this crate speaks (any 1.x).
    pub fn of_known_version(self) -> Result<Self, DiscoveryError> {
        match self.amp_version.split_once('.') {
            Some(("1", _)) => Ok(self),
            _ => Err(DiscoveryError::Version(self.amp_version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SNAKE: &str = r#"{"amp_version":"1.0","recipient":"4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi","program_id":"AMPchanne1111111111111111111111111111111111","network":"solana:localnet","pricing":{"default":{"mode":"per-call","rate":"100","token":"8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR","min_deposit":"5000","settle_interval":60},"routes":{"/v1":{"mode":"per-call","rate":"250"}},"tools":{}},"unit_price":"1","seq_window":64,"min_close_grace":3600}"#;

    #[test]
    fn a_document_is_written_in_snake_case_and_read_in_both() {
        let document = DiscoveryDocument::parse(SNAKE.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&document).unwrap(), SNAKE);
        let camel = [
            ("amp_version", "ampVersion"),
            ("program_id", "programId"),
            ("min_deposit", "minDeposit"),
            ("settle_interval", "settleInterval"),
            ("unit_price", "unitPrice"),
            ("seq_window", "seqWindow"),
            ("min_close_grace", "minCloseGrace"),
        ]
        .into_iter()
        .fold(SNAKE.to_owned(), |text, (snake, camel)| text.replace(snake, camel));
        assert_eq!(DiscoveryDocument::parse(camel.as_bytes()).unwrap(), document);
    }

    #[test]
    fn another_major_version_is_refused() {
        let text = SNAKE.replace("\"1.0\"", "\"2.0\"");
        assert!(
            matches!(DiscoveryDocument::parse(text.as_bytes()), Err(DiscoveryError::Version(v)) if v == "2.0")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = DiscoveryDocument::parse(&bytes);
        }
    }
}
