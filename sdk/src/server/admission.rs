use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use amp_protocol::money::{Amount, Seq};
use amp_protocol::rate::Rate;
use solana_address::Address;
use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::bookkeeping::Charged;
use super::books::Book;
use super::clock::unix_now;
use super::denial::Denial;
use super::finishing::Finishing;
use super::ledger::Reservation;
use super::metering::Meter;
use super::metrics::Observed;
use super::outage::Exposed;
use super::service::Core;
use super::store::{AnswerId, KeptAnswer};
use super::verification::Verified;

/// Who pays for a request: the inner handler finds it among the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The channel.
    pub channel: Address,
    /// The signer whose credential it was: the channel's authorized signer, or a delegate.
    pub signer: Address,
    /// Its seq: unique among the signer's requests.
    pub seq: Seq,
    /// The most the request costs, in base units.
    pub price: Amount,
}

/// What was charged, once it is on disk. Amounts are base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Deposited - spent, all signers; for a delegate at most what its limit leaves.
    pub balance: Amount,
    /// Charged to this signer so far.
    pub spent: Amount,
    /// Charged for this request.
    pub cost: Amount,
    /// The highest seq accepted from this signer.
    pub last_seq: Seq,
}

/// A request that was admitted: its price is set aside. Dropped without a charge (the client went
/// away, the handler failed), the price is free again, unless [`Self::charge_if_dropped`] says
/// otherwise; its seq stays used.
#[must_use = "dropped, it charges nothing"]
pub struct Admission {
    core: Arc<Core>,
    book: Arc<Book>,
    verified: Verified,
    reservation: Option<Reservation>,
    payment: Payment,
    if_dropped: Option<Amount>,
    /// SHA-256 of what was asked for, where its answer is to be kept.
    question: Option<[u8; 32]>,
    pub(crate) observed: Observed,
    /// Where it was admitted while the chain did not answer.
    exposed: Option<Exposed>,
}

/// A request that was admitted to be metered, in its parts.
pub(crate) struct Metered {
    pub(crate) core: Arc<Core>,
    pub(crate) book: Arc<Book>,
    pub(crate) verified: Verified,
    pub(crate) reservation: Reservation,
    pub(crate) payment: Payment,
    pub(crate) observed: Observed,
}

impl Admission {
    /// Takes it apart; none where it was charged.
    fn metered(mut self) -> Option<Metered> {
        let reservation = self.reservation.take()?;
        let (core, book, verified) = (self.core.clone(), self.book.clone(), self.verified.clone());
        let (payment, observed) = (self.payment, self.observed.take());
        Some(Metered { core, book, verified, reservation, payment, observed })
    }

    /// Goes on as a request that is charged while it is served, with so many things paid for ahead at first: what it was
    /// admitted for is its first thing.
    ///
    /// # Errors
    /// [`Denial::Unavailable`] while the chain does not answer: no stream is begun on an old view. `AMP_CLOSED`
    /// where a close came in between.
    pub(crate) async fn into_meter(self, rate: Rate, ahead: u64) -> Result<Meter, Denial> {
        if self.exposed.is_some() {
            return Err(Denial::no_stream_yet());
        }
        let channel = self.book.incarnation.channel;
        let metered = self.metered().ok_or_else(|| Denial::closed(channel))?;
        let meter = Meter::of(metered, rate, ahead);
        meter.cover(1).await?;
        Ok(meter)
    }

    pub(crate) fn new(
        core: Arc<Core>,
        book: Arc<Book>,
        verified: Verified,
        reservation: Reservation,
        exposed: Option<Exposed>,
    ) -> Self {
        let payment = Payment {
            channel: Address::from(book.incarnation.channel),
            signer: Address::from(reservation.signer.key),
            seq: reservation.seq,
            price: reservation.price,
        };
        Self {
            core,
            book,
            verified,
            reservation: Some(reservation),
            payment,
            if_dropped: None,
            question: None,
            observed: Observed::none(),
            exposed,
        }
    }

    /// Has the answer kept, under the name that the request was admitted with.
    pub(crate) fn keeping(mut self, question: [u8; 32]) -> Self {
        self.question = Some(question);
        self
    }

    /// Who pays, and how much at most.
    pub fn payment(&self) -> Payment {
        self.payment
    }

    /// What is charged where this is dropped, by a client that goes away while the work is under way.
    /// A panic is not charged for.
    pub fn charge_if_dropped(&mut self, amount: Option<Amount>) {
        self.if_dropped = amount;
    }

    /// Charges `amount` base units, at most the admitted price, and returns once the charge, the
    /// credential and the used seq are on disk: only then may the answer leave. With zero the request
    /// costs nothing and its seq is used up for good.
    ///
    /// A caller that is dropped while it waits changes nothing: the charge is made all the same.
    ///
    /// # Errors
    /// [`Denial::Unavailable`] where the store failed: the charge is taken back, and the answer must
    /// not leave. `AMP_CLOSED` where a close did not wait any longer.
    pub async fn charge(self, amount: Amount) -> Result<Receipt, Denial> {
        self.charge_for(amount, None).await
    }

    /// The same, and keeps the answer: it is on disk with the charge, both or neither. What
    /// [`AmpService::authorize_once`](super::AmpService::authorize_once) gives out for the same name from then
    /// on is this.
    pub async fn charge_once(self, amount: Amount, answer: Vec<u8>) -> Result<Receipt, Denial> {
        self.charge_for(amount, Some(answer)).await
    }

    async fn charge_for(mut self, amount: Amount, answer: Option<Vec<u8>>) -> Result<Receipt, Denial> {
        let (observed, price) = (self.observed.take(), self.payment.price);
        let charged = pin!(self.book_charge(amount, answer));
        observed.charge(price, charged).await
    }

    async fn book_charge(mut self, amount: Amount, answer: Option<Vec<u8>>) -> Result<Receipt, Denial> {
        let channel = self.book.incarnation.channel;
        let Some(reservation) = self.reservation.take() else { return Err(Denial::closed(channel)) };
        let cost = amount.min(reservation.price);
        let answer = answer.zip(self.question).zip(reservation.key).map(|((answer, question), key)| {
            let id = AnswerId { signer: reservation.signer.key, epoch: reservation.signer.epoch, key };
            KeptAnswer { id, question, answer, kept_at: unix_now(), seq: reservation.seq }
        });
        let (core, book, verified) = (self.core.clone(), self.book.clone(), self.verified.clone());
        let (exposed, signer, seq) = (self.exposed.take(), reservation.signer, reservation.seq);
        // a client that goes away now must not leave a charge half booked
        let charge = async move {
            let charged = core.book_charge(&book, &verified, reservation, cost, answer);
            let charged = core.metrics.requests.commit(cost, pin!(charged)).await;
            if let Some(exposed) = exposed.filter(|_| charged.is_ok()) {
                exposed.charged(cost);
            }
            core.vitals.wrote(!matches!(charged, Err(Denial::Unavailable { .. })));
            if charged.is_ok() {
                core.tell_charged(book.incarnation, signer, seq, cost);
            }
            charged
        };
        let charged = Finishing::new(charge.instrument(tracing::debug_span!("amp.commit"))).await;
        let Charged { record, balance } = charged?;
        Ok(Receipt { balance, spent: record.spent, cost, last_seq: record.seq })
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admission").field(&self.payment).finish()
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        // without a runtime nothing can be stored, so nothing is charged
        let runtime = Handle::try_current().ok().filter(|_| !std::thread::panicking());
        let if_dropped = self.if_dropped.filter(|_| !self.core.cuts_off());
        let (Some(cost), Some(runtime)) = (if_dropped, runtime) else {
            return self.core.release(&self.book, reservation);
        };
        let (core, book, verified) = (self.core.clone(), self.book.clone(), self.verified.clone());
        let admission = Self::new(core, book, verified, reservation, self.exposed.take());
        runtime.spawn(async move {
            if let Err(denial) = admission.charge(cost).await {
                tracing::warn!(%denial, "a request whose client went away could not be charged");
            }
        });
    }
}
