//! `_amp` on the wire. rmcp reads messages into types that have no room for it, so it is moved into `_meta`
//! before rmcp reads, and copied out of `_meta` after rmcp has written.

mod fields;
mod http;
mod io;
mod lines;

pub use self::http::{AmpFields, AmpFieldsLayer};
pub use io::{AmpReader, AmpWriter, stdio, wire};
