//! Requests that are paid for while they are served: by the byte, by the second, by what a handler reports.
//!
//! What such a request costs is not known when it is admitted. So a part is set aside, and on disk as if it were
//! charged, before it is used; when it runs out the next one is. What is left of the last one is given back at the
//! end: charged is what was counted, to the unit, whichever side ends it. Only where the service itself
//! crashes is what was set aside charged instead, since it may have left.
//!
//! Where the ceiling is reached a stream waits: the client signs more on the same channel, by any request or by
//! the credential endpoint, and the stream goes on.

mod advance;
mod need;
#[cfg(any(feature = "grpc", feature = "mcp"))]
mod running;
mod seconds;
mod window;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use amp_protocol::json::CredentialBody;
use amp_protocol::money::Amount;
use amp_protocol::rate::Rate;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::advance::Advancing;
pub use self::need::Need;
#[cfg(any(feature = "grpc", feature = "mcp"))]
pub(crate) use self::running::Running;
pub(crate) use self::seconds::Seconds;
use super::admission::{Metered, Payment, Receipt};
use super::bookkeeping::Stopped;
use super::books::Book;
use super::denial::Denial;
use super::finishing::Finishing;
use super::ledger::Reservation;
use super::metrics::Observed;
use super::service::{AmpService, Core};
use super::verification::Verified;
use super::views::lock;

/// How often a request that waits looks whether it may go on, where nothing tells it.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How often a stream on a shared store looks whether another process has stopped its channel.
const LOOK_FOR_STOP: Duration = Duration::from_secs(1);

fn after(time: Duration) -> Instant {
    Instant::now().checked_add(time).unwrap_or_else(Instant::now)
}

/// A request that is paid for while it is served. Clones are the same request; when the last of them is dropped,
/// what was counted is charged.
#[derive(Clone)]
pub struct Meter(Arc<Request>);

/// A request that does not live for it.
pub(crate) struct WeakMeter(Weak<Request>);

impl WeakMeter {
    pub(crate) fn upgrade(&self) -> Option<Meter> {
        self.0.upgrade().map(Meter)
    }
}

pub(crate) struct Request {
    core: Arc<Core>,
    book: Arc<Book>,
    rate: Rate,
    payment: Payment,
    state: Mutex<State>,
    /// One advance at a time.
    advancing: Arc<tokio::sync::Mutex<Advancing>>,
    need: watch::Sender<Option<Need>>,
}

struct State {
    /// None: the last of it was charged.
    reservation: Option<Reservation>,
    verified: Verified,
    observed: Observed,
    /// Things that were delivered.
    counted: u64,
    /// Things that may be delivered, those included.
    covered: u64,
    /// Why it does not go on.
    ended: Option<Denial>,
}

impl AmpService {
    /// Admits a request that costs `rate` for each thing that is [counted](Meter::count) while it is served. The
    /// first of them is paid for when this returns.
    ///
    /// # Errors
    /// Those of [`authorize`](Self::authorize). The price in them is that of one thing.
    pub async fn authorize_metered(&self, credential: &CredentialBody, rate: Rate) -> Result<Meter, Denial> {
        self.authorize_ahead(credential, rate, rate.per.get()).await
    }

    /// The same with so many things paid for ahead at first, as far as the client has signed for them: where they
    /// are small and quick, like bytes, each step costs more than what it is for.
    pub async fn authorize_ahead(
        &self,
        credential: &CredentialBody,
        rate: Rate,
        ahead: u64,
    ) -> Result<Meter, Denial> {
        let least = rate.cost(1).unwrap_or(Amount::MAX);
        self.admit_metered(credential, least).await?.into_meter(rate, ahead).await
    }
}

impl Meter {
    pub(super) fn of(admission: Metered, rate: Rate, ahead: u64) -> Self {
        let Metered { core, book, verified, reservation, payment, observed } = admission;
        let signer = verified.signer;
        let state = State {
            reservation: Some(reservation),
            verified,
            observed,
            counted: 0,
            // nothing of it is on disk
            covered: 0,
            ended: None,
        };
        let meter = Self(Arc::new(Request {
            core,
            book,
            rate,
            payment,
            state: Mutex::new(state),
            advancing: Arc::new(tokio::sync::Mutex::new(Advancing::new(ahead))),
            need: watch::Sender::new(None),
        }));
        meter.0.book.stream_begins(signer, payment.seq, WeakMeter(Arc::downgrade(&meter.0)));
        meter
    }

    /// Who pays. The price is that of one thing.
    pub fn payment(&self) -> Payment {
        self.0.payment
    }

    /// What counted things cost.
    pub fn rate(&self) -> Rate {
        self.0.rate
    }

    /// How many things were counted so far.
    pub fn counted(&self) -> u64 {
        lock(&self.0.state).counted
    }

    /// How many more may be delivered at once.
    pub fn available(&self) -> u64 {
        lock(&self.0.state).available()
    }

    /// Counts things that leave now: at most `most`, and as many as are paid for. Returns how many may leave.
    #[must_use = "no more than that may leave"]
    pub fn count(&self, most: u64) -> u64 {
        lock(&self.0.state).count(most)
    }

    /// Counts things that leave now where all of them are paid for, and the request goes on: all of them, or none.
    #[must_use = "unless this is true nothing may leave"]
    pub fn try_spend(&self, count: u64) -> bool {
        let mut state = lock(&self.0.state);
        let may = state.ended.is_none() && state.available() >= count;
        if may {
            state.counted = state.counted.saturating_add(count);
        }
        may
    }

    /// Waits until `count` more things are paid for, and counts them: all of them, or none.
    ///
    /// # Errors
    /// Why the request does not go on. It is over then: see [`Self::cover`].
    pub async fn spend(&self, count: u64) -> Result<(), Denial> {
        loop {
            self.cover(count).await?;
            // another clone may have been faster
            if self.try_spend(count) {
                return Ok(());
            }
        }
    }

    /// Waits until `count` more things are paid for, and the disk knows. While the client must sign more, or do
    /// something else about it, [`Self::needs`] says what; it has [`ServiceConfig::stream_wait`] for it.
    ///
    /// # Errors
    /// Why the request does not go on: nothing more is counted then.
    ///
    /// [`ServiceConfig::stream_wait`]: super::ServiceConfig::stream_wait
    pub async fn cover(&self, count: u64) -> Result<(), Denial> {
        let (mut waiting, mut fresh): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            let ended = lock(&self.0.state).ended.clone();
            if let Some(denial) = ended {
                self.0.say(None);
                return Err(denial);
            }
            if self.available() >= count {
                return Ok(());
            }
            let book = self.0.book.clone();
            let mut changed = std::pin::pin!(book.changed());
            // listen before looking, or what happens in between is missed
            changed.as_mut().enable();
            let Err(stopped) = self.advanced(count, fresh, waiting.is_some()).await else { continue };
            let now = Instant::now();
            let since = *waiting.get_or_insert(now);
            // a higher ceiling is no matter of the chain's; a top-up is, whenever it lands
            fresh = (!stopped.is_of_ceiling()).then_some(now);
            let wait = self.0.core.config.stream_wait;
            let until = since.checked_add(wait).filter(|_| stopped.may_pass).unwrap_or(since);
            if until <= now {
                return Err(self.end(stopped.denial));
            }
            self.0.say(Some(Need::of(&stopped.denial)));
            let look = now.checked_add(LOOK_AGAIN).unwrap_or(until).min(until);
            let _ = timeout_at(look, changed).await;
        }
    }

    /// What the client must do for the request to go on, as long as it waits.
    pub fn needs(&self) -> watch::Receiver<Option<Need>> {
        self.0.need.subscribe()
    }

    /// Returns when service of the channel has stopped, with what the rest is refused with: what was delivered is to
    /// be charged soon, for a close waits for it.
    pub async fn stopped(&self) -> Denial {
        let (core, book) = (self.0.core.clone(), self.0.book.clone());
        loop {
            let mut changed = std::pin::pin!(book.changed());
            changed.as_mut().enable();
            if book.ledger().stopped_at.is_some() {
                return Denial::closed(book.incarnation.channel);
            }
            if core.store.shared().is_none() {
                changed.await;
            } else if timeout_at(after(LOOK_FOR_STOP), changed).await.is_err() {
                // another process may have stopped it
                let _ = core.refresh(&book).await;
            }
        }
    }

    /// Has more paid for than is needed now, if the signer's ceiling and all else allow it.
    pub(crate) async fn reach_ahead(&self) {
        let more = self.available().saturating_add(1);
        if let Err(stopped) = self.advanced(more, None, false).await
            && stopped.may_pass
        {
            // said early, so that the client can do something about it before the stream has to wait
            self.0.say(Some(Need::of(&stopped.denial)));
        }
    }

    /// An advance as a task of its own: whoever asks for it may be polled no more, and must hold nobody up.
    async fn advanced(&self, count: u64, since: Option<Instant>, has_waited: bool) -> Result<(), Stopped> {
        let advance = tokio::spawn(self.clone().advance(count, since, has_waited));
        advance.await.unwrap_or_else(|error| Err(Denial::store(&error).into()))
    }

    /// Ends it without waiting: what was counted is charged.
    pub(crate) fn end_soon(&self) {
        if lock(&self.0.state).reservation.is_some() {
            drop(Finishing::new(finish(self.0.clone())));
        }
    }

    /// Charges what was counted, and returns when that is on disk. Nothing more is counted after it.
    ///
    /// # Errors
    /// [`Denial::Unavailable`] where the store failed: the charge stands and is stored later. `AMP_CLOSED` where a
    /// close did not wait any longer, or where it was charged before.
    pub async fn finish(&self) -> Result<Receipt, Denial> {
        Finishing::new(finish(self.0.clone())).await
    }

    /// Why it does not go on, where it ended before its end.
    #[cfg(feature = "mcp")]
    pub(crate) fn why_ended(&self) -> Option<Denial> {
        lock(&self.0.state).ended.clone()
    }

    fn end(&self, denial: Denial) -> Denial {
        self.0.say(None);
        let mut state = lock(&self.0.state);
        state.covered = state.counted;
        state.ended.get_or_insert(denial).clone()
    }
}

impl Request {
    /// Tells who waits for it what the request needs.
    fn say(&self, need: Option<Need>) {
        let signer = lock(&self.state).verified.signer;
        self.book.waits(signer, self.payment.seq, need.as_ref().and_then(Need::required_seq));
        self.need.send_if_modified(|before| {
            let is_news = *before != need;
            *before = need;
            is_news
        });
    }
}

impl State {
    fn available(&self) -> u64 {
        self.covered.saturating_sub(self.counted)
    }

    fn count(&mut self, most: u64) -> u64 {
        let count = most.min(self.available());
        self.counted = self.counted.saturating_add(count);
        count
    }

    /// What was counted costs so much.
    fn cost(&self, rate: Rate) -> Amount {
        // it was covered, so it fits
        rate.cost(self.counted).unwrap_or(Amount::MAX)
    }

    /// The last charge; none where it was made. Nothing more is counted after it.
    fn last_charge(&mut self, rate: Rate) -> Option<LastCharge> {
        self.covered = self.counted;
        let (verified, observed) = (self.verified.clone(), self.observed.take());
        let (reservation, used) = (self.reservation.take()?, self.cost(rate));
        Some(LastCharge { reservation, verified, observed, used })
    }
}

/// All that is to be charged of a request.
struct LastCharge {
    reservation: Reservation,
    verified: Verified,
    observed: Observed,
    used: Amount,
}

impl LastCharge {
    async fn book(self, core: &Core, book: &Arc<Book>, price: Amount) -> Result<Receipt, Denial> {
        let (signer, seq, used) = (self.reservation.signer, self.reservation.seq, self.used);
        let charged = core.charge_metered(book, &self.verified, self.reservation, used);
        let charged = self.observed.charge(price, charged).await;
        // where the store failed the charge stands, and is stored later
        if charged.as_ref().err().is_none_or(|denial| matches!(denial, Denial::Unavailable { .. })) {
            core.tell_charged(book.incarnation, signer, seq, used);
        }
        charged
    }
}

async fn finish(request: Arc<Request>) -> Result<Receipt, Denial> {
    // an advance that is under way is over first
    let _advancing = request.advancing.lock().await;
    let last = {
        let mut state = lock(&request.state);
        let closed = Denial::closed(request.book.incarnation.channel);
        let ended = state.ended.get_or_insert(closed).clone();
        state.last_charge(request.rate).ok_or(ended)?
    };
    request.say(None);
    request.book.stream_ends(last.verified.signer, request.payment.seq);
    last.book(&request.core, &request.book, request.payment.price).await
}

impl Drop for Request {
    fn drop(&mut self) {
        self.say(None);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.book.stream_ends(state.verified.signer, self.payment.seq);
        let Some(last) = state.last_charge(self.rate) else { return };
        let (core, book, price) = (self.core.clone(), self.book.clone(), self.payment.price);
        let charge = async move {
            if let Err(denial) = last.book(&core, &book, price).await {
                tracing::warn!(%denial, "a stream whose client went away could not be charged");
            }
        };
        drop(Finishing::new(charge));
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meter").field(&self.0.payment).finish()
    }
}

#[cfg(test)]
mod tests;
