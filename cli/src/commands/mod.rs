//! One file a group of commands.

pub(crate) mod call;
pub(crate) mod channels;
pub(crate) mod discover;
pub(crate) mod keygen;
pub(crate) mod serve;
