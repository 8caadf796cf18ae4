//! The README's snippets, and those of the guide for agents, as documentation tests.
#![doc = include_str!("../../../README.md")]

#[doc = include_str!("../../../docs/agents.md")]
mod agents {}
