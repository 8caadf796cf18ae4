//! What is only to be seen while it is there: deposits, and what the chain has paid out.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amp_protocol::money::Amount;
use amp_sdk::server::{AmpService, Incarnation, Session};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::history::History;
use super::{Inner, Operator};

const EVERY: Duration = Duration::from_secs(5);
/// Channels that are gone over before other tasks have a turn.
const AT_ONCE: usize = 256;

/// What is noted of a channel when it changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    deposited: Option<Amount>,
    claimed: Option<Amount>,
    statement: Option<Amount>,
}

impl Look {
    fn of(session: &Session) -> Self {
        let on_chain = session.on_chain.as_ref();
        Self {
            deposited: on_chain.map(|account| account.deposited),
            claimed: on_chain.map(|account| account.claimed),
            statement: session.statement,
        }
    }
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Books what the store knows and the history does not: before anything is served.
pub(crate) fn gather(service: &AmpService, history: &History) -> rusqlite::Result<()> {
    let at = now();
    for incarnation in service.incarnations() {
        if let Some(session) = service.session_as_seen(&incarnation) {
            history.gather_charges(&incarnation, &session, at)?;
        }
    }
    Ok(())
}

/// Notes how channels change, until the gateway ends.
pub(crate) async fn sample(operator: Weak<Inner>) {
    // the last look at each, and whether what the chain has paid out since the one before is gathered
    let mut known: HashMap<Incarnation, (Look, bool)> = HashMap::new();
    loop {
        sleep(EVERY).await;
        let Some(operator) = operator.upgrade() else { return };
        let all = operator.service.incarnations();
        for some in all.chunks(AT_ONCE) {
            for incarnation in some {
                let Some(session) = operator.service.session_as_seen(incarnation) else { continue };
                let look = Look::of(&session);
                match known.get_mut(incarnation) {
                    Some((last, true)) if *last == look => {}
                    // nothing has changed since the last time: a settlement of then is written by now
                    Some((last, is_gathered)) if *last == look => {
                        *is_gathered = gather_paid(&operator.history, *incarnation, session).await;
                    }
                    _ => {
                        known.insert(*incarnation, (look, false));
                        operator.history.saw(session);
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        known.retain(|incarnation, _| all.binary_search(incarnation).is_ok());
    }
}

/// Whether it could be done.
async fn gather_paid(history: &History, incarnation: Incarnation, session: Session) -> bool {
    let history = history.clone();
    let gathered = spawn_blocking(move || history.gather_paid(&incarnation, &session, now())).await;
    match gathered {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the history can't be read");
            false
        }
        Err(_) => false,
    }
}

impl Operator {
    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        std::sync::Arc::downgrade(&self.0)
    }
}
