//! Everything that reads hostile bytes, each with what must hold of it for any bytes whatever.
//!
//! A target panics where something does not hold. `fuzz/` runs the targets under libFuzzer, and this crate's
//! test replays the kept corpus through them without it, so that what was found once stays found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

mod accounts;
mod headers;
mod input;
mod json;
mod messages;
mod precompile;
mod rules;
mod sequence;

pub use accounts::{channel_account, delegation_account, token_accounts};
pub use headers::credential_headers;
pub use json::{
    channel_status, close_response, credential_body, discovery, error_body, metering_proof, pricing,
};
pub use messages::messages;
pub use precompile::{ed25519_instruction, instructions_sysvar};
pub use rules::{rules_chain, rules_close, rules_delegation, rules_history, rules_rate, rules_settlement};
pub use sequence::sequence;

/// What became of an input. A corpus in which nothing is accepted, or nothing refused, tests little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The bytes were what they were read as, or the numbers were within the rules.
    Accepted,
    /// They were not.
    Refused,
}

impl Verdict {
    fn of<T, E>(outcome: &Result<T, E>) -> Self {
        if outcome.is_ok() { Self::Accepted } else { Self::Refused }
    }
}

/// A target: its name is that of its folder in `fuzz/corpus`.
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Runs it on one input.
    ///
    /// # Panics
    /// Where something that must hold of all inputs does not.
    pub run: fn(&[u8]) -> Verdict,
    /// How inputs are changed, where changing bytes would lead nowhere.
    pub grammar: Option<Grammar>,
}

/// How a fuzzer makes inputs from inputs. The last number is the most bytes that they may have.
#[derive(Clone, Copy)]
pub struct Grammar {
    /// Changes one, as the seed says.
    pub change: fn(&[u8], u32, usize) -> Vec<u8>,
    /// Makes one of two.
    pub cross: fn(&[u8], &[u8], u32, usize) -> Vec<u8>,
}

macro_rules! target {
    ($name:ident) => {
        Target { name: stringify!($name), run: $name, grammar: None }
    };
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target!(channel_account),
    target!(channel_status),
    target!(close_response),
    target!(credential_body),
    target!(credential_headers),
    target!(delegation_account),
    target!(discovery),
    target!(ed25519_instruction),
    target!(error_body),
    target!(instructions_sysvar),
    target!(messages),
    target!(metering_proof),
    target!(pricing),
    target!(rules_chain),
    target!(rules_close),
    target!(rules_delegation),
    target!(rules_history),
    target!(rules_rate),
    target!(rules_settlement),
    Target { grammar: Some(sequence::GRAMMAR), ..target!(sequence) },
    target!(token_accounts),
];
