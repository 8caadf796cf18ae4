//! An axum route over loopback sockets, unpaid and paid. The server is a process of its own on the first
//! core; this one, on the second, is its load.

mod cells;
mod connection;
mod hostile;
mod load;
mod server;
mod streams;

pub(crate) use cells::{Cell, EMBEDDED, Grid, run as cells};
pub(crate) use hostile::{Attacked, run as hostile};
pub(crate) use load::saturate;
pub(crate) use server::{BUSY, EMPTY, FILE, Serve, Server, spins_in};
pub(crate) use streams::{Download, PER, run as streams};
