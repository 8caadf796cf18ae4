//! What happens to money, told as it happens: for whoever keeps a history of it. The books are the store's; this is
//! told once they know.

use std::fmt;
use std::sync::Arc;

use amp_protocol::money::{Amount, Seq};
use solana_address::Address;
use solana_signature::Signature;

use super::clock::unix_now;
use super::ledger::SignerId;
use super::service::Core;
use super::store::Incarnation;

/// Something that happened to money. Amounts are base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoneyEvent {
    /// Unix seconds, this machine's.
    pub at: i64,
    /// Of which channel.
    pub incarnation: Incarnation,
    /// What.
    pub kind: MoneyKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyKind {
    /// A request was charged, and that is on disk.
    Charged {
        /// Whose credential it was.
        signer: Address,
        /// The slot in which the signer's authority was created.
        epoch: u64,
        /// The request's seq.
        seq: Seq,
        /// What it cost; above zero.
        cost: Amount,
    },
    /// A settlement was paid out, as the chain has booked it.
    Settled {
        /// The signer that was settled.
        signer: Address,
        /// What it brought.
        paid: Amount,
        /// The transaction; none where another attempt's landed.
        transaction: Option<Signature>,
    },
    /// What was owed was put into a supplier's channel instead.
    Chained {
        /// The supplier's channel.
        into: Address,
        /// How much.
        paid: Amount,
        /// The transaction; none where another attempt's landed.
        transaction: Option<Signature>,
    },
    /// The channel was closed: it has been gone from the chain for ten minutes.
    Gone,
}

/// Whoever is told. It is called where requests are answered: it must be quick, and wait for nothing.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<dyn Fn(MoneyEvent) + Send + Sync>>);

impl Observer {
    pub(crate) fn new(observer: impl Fn(MoneyEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observer)))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}

impl Core {
    pub(crate) fn tell(&self, incarnation: Incarnation, kind: MoneyKind) {
        if let Observer(Some(observer)) = &self.config.observer {
            observer(MoneyEvent { at: unix_now(), incarnation, kind });
        }
    }

    pub(crate) fn tell_charged(&self, incarnation: Incarnation, signer: SignerId, seq: Seq, cost: Amount) {
        if !cost.is_zero() {
            let (signer, epoch) = (Address::from(signer.key), signer.epoch);
            self.tell(incarnation, MoneyKind::Charged { signer, epoch, seq, cost });
        }
    }
}
