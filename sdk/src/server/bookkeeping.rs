//! How a channel's books change: in this process's memory where the store is its alone, by
//! [turns](super::turns) where it is shared.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::{Shortage, SignedCloseStatement};
use amp_protocol::message::Key;
use amp_protocol::money::Amount;
use tokio::time::{Instant, sleep};

use super::admission::Receipt;
use super::books::Book;
use super::channels::Channel;
use super::clock::unix_now;
use super::denial::Denial;
use super::ledger::{
    Advance, ChannelLedger, Halt, NotCharged, Refusal, Request, Reservation, SignerId, SignerRecord,
};
use super::service::Core;
use super::store::{Incarnation, KeptAnswer, Stamp, Store, StoreError};
use super::turns::{self, Place, Undo, Wishes};
use super::verification::Verified;
use crate::chain::TRANSACTION_LIFE;

/// How often a close looks whether other processes are done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long streams have to notice that their channel is not served any more.
const STREAMS_NOTICE: Duration = Duration::from_secs(1);

/// Seconds before what holds is stored, after a charge was taken back.
const CORRECTING: [u64; 6] = [0, 1, 5, 30, 120, 600];

/// Why a metered request can't go on.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) denial: Denial,
    /// Whether the client may do something about it while the request waits, or time does.
    pub(crate) may_pass: bool,
}

impl Stopped {
    /// Whether its signer must sign more.
    pub(crate) fn is_of_ceiling(&self) -> bool {
        matches!(&self.denial, Denial::Refused(body) if body.shortage == Some(Shortage::Ceiling))
    }

    fn of(halt: Halt, channel: Key) -> Self {
        match halt {
            Halt::Refused(refusal) => {
                let may_pass = matches!(
                    refusal,
                    Refusal::Ceiling { .. }
                        | Refusal::Balance { .. }
                        | Refusal::DelegateLimit { .. }
                        | Refusal::Rate { fits: true, .. }
                        | Refusal::Crowded { .. }
                );
                Self { denial: Denial::from_refusal(&refusal, channel), may_pass }
            }
            Halt::NotCharged(not) => Self { denial: not_charged(not, channel), may_pass: false },
        }
    }
}

impl From<Denial> for Stopped {
    /// What the chain says may change; that it does not answer will.
    fn from(denial: Denial) -> Self {
        Self { may_pass: matches!(denial, Denial::Unavailable { .. }), denial }
    }
}

/// Charges what has left of all streams of a channel at this process: nothing more leaves of them.
pub(crate) async fn finish_streams(book: &Book) {
    for meter in book.streams() {
        if let Err(denial) = meter.finish().await {
            tracing::debug!(%denial, "a stream was over already, or could not be stored yet");
        }
    }
}

/// Stores a signer's record as it is now.
async fn store_record(store: &dyn Store, book: &Book, signer: &SignerId) -> Result<(), StoreError> {
    let Some((to_store, live)) = book.ledger().stored_form(signer) else { return Ok(()) };
    store.commit(book.incarnation, to_store, None).await?;
    book.ledger().note_stored(signer, live);
    Ok(())
}

fn not_charged(not: NotCharged, channel: Key) -> Denial {
    match not {
        NotCharged::Sealed => Denial::closed(channel),
        NotCharged::Forgotten => Denial::store(&"a request that was admitted is not in the books any more"),
    }
}

/// A charge that is on disk.
#[derive(Debug)]
pub(crate) struct Charged {
    pub(crate) record: SignerRecord,
    /// What the signer can still spend.
    pub(crate) balance: Amount,
}

impl Core {
    fn is_shared(&self) -> bool {
        self.store.shared().is_some()
    }

    fn place(&self, book: &Arc<Book>) -> Place {
        Place { store: self.store.clone(), book: book.clone(), seq_window: self.config.seq_window }
    }

    async fn turn<T: Send + Sync + 'static>(
        &self,
        book: &Arc<Book>,
        change: impl FnMut(&mut ChannelLedger, &mut Wishes) -> T + Send + 'static,
        undo: Option<Undo<T>>,
    ) -> Result<T, StoreError> {
        turns::turn(self.place(book), change, undo, 0).await
    }

    /// Whether a close that was sent for another incarnation of the address may still land on this one.
    pub(crate) async fn may_be_closed_by_accident(
        &self,
        incarnation: Incarnation,
    ) -> Result<bool, StoreError> {
        if self.books.is_closed_by_accident(&incarnation) {
            return Ok(true);
        }
        // who closes notes it, and only then looks whether it is still the same incarnation. So an
        // incarnation that was served before the note is seen by that look
        let is_new = || self.books.find(&incarnation).is_none_or(|book| book.turns().seen() == Stamp::NONE);
        match self.store.shared().filter(|_| is_new()) {
            Some(shared) => shared.may_be_closed(incarnation, TRANSACTION_LIFE.as_secs()).await,
            None => Ok(false),
        }
    }

    /// Notes that this service is about to close a channel, before it looks at it for the last time.
    pub(crate) async fn note_close(&self, book: &Book) -> Result<(), StoreError> {
        book.close_is_sent();
        match self.store.shared() {
            Some(shared) => shared.note_close(book.incarnation).await,
            None => Ok(()),
        }
    }

    /// Admits a request: its seq is used from then on, for all processes.
    pub(crate) async fn reserve(
        &self,
        book: &Arc<Book>,
        account: &Arc<Channel>,
        request: Request,
    ) -> Result<Result<Reservation, Refusal>, StoreError> {
        let (limits, now) = (self.config.limits(), self.time.now());
        if !self.is_shared() {
            let admitted = book.ledger().admit(account, &request, &limits, now);
            if admitted.is_ok() {
                // a stream may wait for what it authorizes
                book.has_changed();
            }
            return Ok(admitted);
        }
        let account = account.clone();
        let admit =
            move |ledger: &mut ChannelLedger, _: &mut Wishes| ledger.admit(&account, &request, &limits, now);
        let undo: Undo<Result<Reservation, Refusal>> = Arc::new(|ledger, admitted| {
            if let Ok(reservation) = admitted {
                ledger.release(reservation);
            }
        });
        let admitted = Box::pin(self.turn(book, admit, Some(undo))).await;
        if matches!(admitted, Ok(Ok(_))) {
            book.has_changed();
        }
        admitted
    }

    /// Charges a request, and keeps its answer if there is one; both are on disk when this returns. With an
    /// error nothing is charged.
    pub(crate) async fn book_charge(
        &self,
        book: &Arc<Book>,
        verified: &Verified,
        reservation: Reservation,
        cost: Amount,
        answer: Option<KeptAnswer>,
    ) -> Result<Charged, Denial> {
        let now = self.time.now();
        let Verified { account, signer, authority, .. } = verified.clone();
        let channel = book.incarnation.channel;
        let balance_of = move |ledger: &ChannelLedger| ledger.balance_of(&account, &signer, &authority);
        let charged = if self.is_shared() {
            let weight = answer.as_ref().map_or(0, |kept| kept.answer.len());
            let charge = move |ledger: &mut ChannelLedger, wishes: &mut Wishes| {
                let charged = ledger.charge_shared(&reservation, cost, now);
                if charged.is_ok() {
                    wishes.durable = true;
                    wishes.answers.extend(answer.clone());
                }
                charged.map(|record| Charged { record, balance: balance_of(ledger) })
            };
            let undo: Undo<Result<Charged, NotCharged>> = Arc::new(move |ledger, charged| {
                if charged.is_ok() {
                    ledger.take_back(&reservation, cost);
                }
            });
            // an answer that is kept can be asked for again: its charge stands. So does that of what has left
            let has_left = reservation.metered.is_some();
            let undo = (weight == 0 && !has_left).then_some(undo);
            let charged = Box::pin(turns::turn(self.place(book), charge, undo, weight)).await;
            // its turn may never be taken
            match &charged {
                Err(_) if has_left => {
                    let again = move |ledger: &mut ChannelLedger, wishes: &mut Wishes| {
                        wishes.durable = ledger.charge_shared(&reservation, cost, now).is_ok();
                    };
                    turns::later(&self.place(book), again);
                }
                Err(_) => self.release(book, reservation),
                Ok(_) => {}
            }
            charged.map_err(|error| Denial::store(&error))?
        } else {
            let charged = book.settle_request(|ledger| {
                let charged = ledger.charge(&reservation, cost, now);
                charged.map(|record| {
                    // in one go: a record must not miss what was set aside, nor what that was charged as
                    let to_store = ledger.to_store(record.clone());
                    (Charged { record, balance: balance_of(ledger) }, to_store)
                })
            });
            match charged {
                Err(not) => Err(not),
                Ok((charged, to_store)) => {
                    let record = charged.record.clone();
                    let stored = self.store.commit(book.incarnation, to_store, answer).await;
                    book.settle_request(|ledger| match &stored {
                        Ok(()) => ledger.committed_record(&reservation, record),
                        // what it is for has left: it is owed, and stored as soon as that works
                        Err(_) if reservation.metered.is_some() => ledger.keep(&reservation),
                        Err(_) => ledger.undo(&reservation, cost),
                    });
                    if stored.is_err() {
                        self.correct_later(book, signer);
                    }
                    stored.map_err(|error| Denial::store(&error))?;
                    Ok(charged)
                }
            }
        };
        charged.map_err(|not| not_charged(not, channel))
    }

    /// Charges what a metered request has used and sets aside what it uses next. That is on disk when this returns:
    /// only then may it leave.
    pub(crate) async fn book_advance(
        &self,
        book: &Arc<Book>,
        account: &Arc<Channel>,
        reservation: Reservation,
        advance: Advance,
    ) -> Result<Reservation, Stopped> {
        let (limits, now, channel) = (self.config.limits(), self.time.now(), book.incarnation.channel);
        let failed = |error: &StoreError| Stopped { denial: Denial::store(error), may_pass: false };
        if self.is_shared() {
            let account = account.clone();
            let step = move |ledger: &mut ChannelLedger, wishes: &mut Wishes| {
                wishes.durable = true;
                let advanced = ledger.advance(&account, &reservation, &advance, &limits, now);
                advanced.map(|(next, _)| next)
            };
            // one whose caller goes away has its caller's last charge follow it
            let advanced = turns::turn(self.place(book), step, None, 0).await;
            return advanced.map_err(|error| failed(&error))?.map_err(|halt| Stopped::of(halt, channel));
        }
        let advanced = {
            let mut ledger = book.ledger();
            let advanced = ledger.advance(account, &reservation, &advance, &limits, now);
            advanced.map(|(next, record)| (next, ledger.to_store(record.clone()), record))
        };
        let (next, to_store, record) = advanced.map_err(|halt| Stopped::of(halt, channel))?;
        let stored = self.store.commit(book.incarnation, to_store, None).await;
        self.vitals.wrote(stored.is_ok());
        stored.map_err(|error| failed(&error))?;
        book.ledger().note_stored(&reservation.signer, record);
        Ok(next)
    }

    /// The last charge of a metered request: `used` is what it used in all.
    pub(crate) async fn charge_metered(
        &self,
        book: &Arc<Book>,
        verified: &Verified,
        reservation: Reservation,
        used: Amount,
    ) -> Result<Receipt, Denial> {
        let charged = pin!(self.book_charge(book, verified, reservation, used, None));
        let charged = self.metrics.requests.commit(used, charged).await;
        self.vitals.wrote(!matches!(charged, Err(Denial::Unavailable { .. })));
        let Charged { record, balance } = charged?;
        Ok(Receipt { balance, spent: record.spent, cost: used, last_seq: record.seq })
    }

    /// After a charge was taken back: a later one of the same signer may have reached the disk with that in it,
    /// and what is on disk is claimed. So what holds now is stored, as soon as the store works again.
    fn correct_later(&self, book: &Arc<Book>, signer: SignerId) {
        let (store, book) = (self.store.clone(), book.clone());
        tokio::spawn(async move {
            for pause in CORRECTING {
                sleep(Duration::from_secs(pause)).await;
                match store_record(&*store, &book, &signer).await {
                    Ok(()) => return,
                    Err(error) => tracing::error!(%error, "a charge that was taken back may be on disk"),
                }
            }
        });
    }

    /// Gives back what was set aside for a request that was not served.
    pub(crate) fn release(&self, book: &Arc<Book>, reservation: Reservation) {
        if !self.is_shared() {
            return book.settle_request(|ledger| ledger.release(&reservation));
        }
        if tokio::runtime::Handle::try_current().is_ok() {
            let release = move |ledger: &mut ChannelLedger, _: &mut Wishes| ledger.release(&reservation);
            turns::later(&self.place(book), release);
        }
    }

    /// The books as they are now, whoever changed them last.
    pub(crate) async fn refresh(&self, book: &Arc<Book>) -> Result<(), StoreError> {
        if !self.is_shared() {
            return Ok(());
        }
        self.turn(book, |_: &mut ChannelLedger, _: &mut Wishes| (), None).await
    }

    /// Admits nothing more on a channel from now on.
    pub(crate) async fn stop(&self, book: &Arc<Book>) -> Result<(), StoreError> {
        if self.is_shared() {
            let stop = |ledger: &mut ChannelLedger, wishes: &mut Wishes| {
                wishes.durable = true;
                ledger.stopped_at.get_or_insert_with(unix_now);
            };
            let stopped = self.turn(book, stop, None).await;
            book.has_changed();
            return stopped;
        }
        let stopped_at = *book.ledger().stopped_at.get_or_insert_with(unix_now);
        book.has_changed();
        self.store.stop(book.incarnation, stopped_at).await
    }

    /// Waits until no request of a channel that was stopped is in flight, but for no longer than configured.
    pub(crate) async fn drained(&self, book: &Arc<Book>) -> Result<(), StoreError> {
        let wait = self.config.in_flight_wait;
        // most streams notice by themselves; one whose client does not read is not asked for more, and would not
        book.drained(wait.min(STREAMS_NOTICE)).await;
        finish_streams(book).await;
        if !self.is_shared() {
            book.drained(wait).await;
            return self.store_all(book).await;
        }
        let begun = Instant::now();
        loop {
            self.refresh(book).await?;
            if book.ledger().in_flight() == 0 || begun.elapsed() >= wait {
                return Ok(());
            }
            sleep(LOOK_AGAIN.min(wait)).await;
        }
    }

    /// Stores what is charged and could not be stored so far: a close statement has all of it.
    async fn store_all(&self, book: &Arc<Book>) -> Result<(), StoreError> {
        let unstored = book.ledger().unstored();
        for signer in unstored {
            store_record(&*self.store, book, &signer).await?;
        }
        Ok(())
    }

    /// Charges nothing more, and returns what the channel owes in all: what is charged after this is not
    /// in the total, so it is refused. `None` past 64 bits.
    pub(crate) async fn seal(
        &self,
        book: &Arc<Book>,
        account: &Arc<Channel>,
    ) -> Result<Option<Amount>, StoreError> {
        let account = account.clone();
        if self.is_shared() {
            let seal = move |ledger: &mut ChannelLedger, wishes: &mut Wishes| {
                wishes.durable = true;
                ledger.sealed = true;
            };
            self.turn(book, seal, None).await?;
            // all that was charged before is committed now
            return Ok(book.ledger().owed_total(&account));
        }
        let mut ledger = book.ledger();
        ledger.sealed = true;
        Ok(ledger.owed_total(&account))
    }

    /// Keeps the close statement that is about to be given out; returns the one that is kept.
    pub(crate) async fn keep_statement(
        &self,
        book: &Arc<Book>,
        signed: SignedCloseStatement,
    ) -> Result<SignedCloseStatement, StoreError> {
        if self.is_shared() {
            let keep = move |ledger: &mut ChannelLedger, wishes: &mut Wishes| {
                wishes.durable = true;
                **ledger.statement.get_or_insert_with(|| Box::new(signed))
            };
            return self.turn(book, keep, None).await;
        }
        self.store.keep_statement(signed).await?;
        Ok(**book.ledger().statement.insert(Box::new(signed)))
    }
}
