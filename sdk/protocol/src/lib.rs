//! What the AMP program, SDK and transports must agree on, written once.
//!
//! The program compiles this crate to bytecode; the SDK and the command line link it
//! natively. Nothing here does I/O, reads a clock or knows a transport: bytes and numbers in,
//! bytes, numbers or a named refusal out. All amounts are integers in the mint's base units.
//!
//! | module | what it fixes |
//! | --- | --- |
//! | [`money`] | [`Amount`](money::Amount), [`Seq`](money::Seq), [`UnitPrice`](money::UnitPrice), the ceiling |
//! | [`rate`] | what counted things cost, rounded alike by both sides |
//! | [`message`] | the three signed messages, to the byte |
//! | [`ed25519_instruction`] | the precompile instruction that carries one of them on chain |
//! | [`rules`] | opening terms, rate window, settlement, close, delegation, chaining: pure functions the program runs |
//! | [`rejection`] | one numbered refusal per rule of the program |
//! | [`account`], [`instruction`], [`seeds`] | account bytes, instruction bytes, PDA seeds |
//! | [`deployment`] | the program id of each cluster |
//! | [`code`] | the nine AMP error codes and their HTTP status |
//! | [`text`] | header, path and field names |
//! | `json` (feature `serde`) | discovery, pricing, error body, receipts |
#![cfg_attr(not(any(test, feature = "serde")), no_std)]
#![forbid(unsafe_code)]

pub mod account;
pub mod code;
pub mod deployment;
pub mod ed25519_instruction;
pub mod instruction;
#[cfg(feature = "serde")]
pub mod json;
mod layout;
pub mod message;
pub mod money;
pub mod rate;
pub mod rejection;
pub mod rules;
pub mod seeds;
pub mod text;
