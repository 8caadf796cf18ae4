//! A client that closes its channel after some calls and opens another, over and over: the service is killed
//! while it ends its service, too, and what it signs for last must be what it served.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amp_protocol::json::SignedCloseStatement;
use anyhow::Result;

use crate::book::Violation;
use crate::market::Market;
use crate::payer::{Closed, Payer, Service};

/// Calls on a channel before it is closed.
const CALLS: u64 = 12;

pub(crate) struct Mortal {
    life: Mutex<Life>,
    lanes: usize,
    processes: usize,
    /// Calls left on this channel.
    left: AtomicU64,
}

struct Life {
    payer: Arc<Payer>,
    past: Past,
}

/// What came of the channels that are closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    pub(crate) closed: u64,
    pub(crate) claimed: u64,
    pub(crate) served: u64,
    pub(crate) used: u64,
    pub(crate) violations: Vec<Violation>,
}

impl Mortal {
    pub(crate) async fn new(market: &Market, lanes: usize, processes: usize) -> Result<Self> {
        let payer = Arc::new(Payer::new(market.channel().await?, lanes, processes).inexact());
        let life = Mutex::new(Life { payer, past: Past::default() });
        Ok(Self { life, lanes, processes, left: AtomicU64::new(CALLS) })
    }

    fn payer(&self) -> Arc<Payer> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).payer.clone()
    }

    /// Pays, closes and opens, until the service is gone.
    pub(crate) async fn pay(&self, market: &Market, service: &Service<'_>) -> Result<()> {
        loop {
            let left = self.left.load(Ordering::Relaxed);
            let goes_on = match left {
                0 => self.close(market, service).await?,
                _ => {
                    self.left.store(left - 1, Ordering::Relaxed);
                    self.payer().call(service).await
                }
            };
            if !goes_on && !service.goes_on() {
                return Ok(());
            }
        }
    }

    /// Gets a statement, holds it against the books, closes with it, and opens another channel; whether the
    /// service is still there.
    pub(crate) async fn close(&self, market: &Market, service: &Service<'_>) -> Result<bool> {
        let payer = self.payer();
        let statement = match payer.close(service).await {
            Closed::Statement(statement) => statement,
            Closed::Lost => return Ok(false),
            Closed::Refused(why) => {
                payer.note(Err(Violation::Refused(why)));
                return Ok(false);
            }
        };
        self.take(market, &payer, &statement).await?;
        Ok(true)
    }

    /// At the end: holds what the chain has paid of the channel that is open against its books.
    pub(crate) async fn reckon(&self, market: &Market) -> Result<Past> {
        let payer = self.payer();
        let claimed = market.claimed(&payer.channel.address).await?;
        payer.hold_against(claimed);
        let (served, used) = payer.book().counts();
        let mut past = self.life.lock().unwrap_or_else(PoisonError::into_inner).past.clone();
        past.claimed += claimed;
        past.served += served;
        past.used += used;
        past.violations.extend(payer.violations());
        Ok(past)
    }

    async fn take(&self, market: &Market, payer: &Payer, statement: &SignedCloseStatement) -> Result<()> {
        let total = statement.owed_total.get();
        payer.hold_against(total);
        let before = market.earned() - market.claimed(&payer.channel.address).await?;
        market.close(&payer.channel, statement).await?;
        let paid = market.earned().saturating_sub(before);
        // other channels are settled meanwhile: at least this one's total has come
        if paid < total {
            payer.note(Err(Violation::Unclaimable { claimed: paid, served: total }));
        }
        let next = Payer::new(market.channel().await?, self.lanes, self.processes).inexact();
        let (served, used) = payer.book().counts();
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.past.closed += 1;
        life.past.claimed += total;
        life.past.served += served;
        life.past.used += used;
        life.past.violations.extend(payer.violations());
        life.payer = Arc::new(next);
        self.left.store(CALLS, Ordering::Relaxed);
        Ok(())
    }
}
