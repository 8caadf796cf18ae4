//! The README's snippets, as documentation tests.
#![doc = include_str!("../../../README.md")]
