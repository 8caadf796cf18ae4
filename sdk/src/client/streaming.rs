//! An answer that is paid for while it comes: what is signed for stays a little ahead of what has come.

use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::header;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use reqwest::Body;
use reqwest::header::HeaderMap;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::error::ClientError;
use super::events::{Ended, Events, Heard};
use super::response::amount_in;
use super::tab::{Begun, Tab, seconds_at_most, seconds_begun};
#[cfg(feature = "grpc")]
use crate::grpc::Tally;

/// An answer that makes no progress for so long may wait for more to be signed. It is asked less often the longer
/// it has nothing to say.
pub(super) const STALL: Duration = Duration::from_millis(300);
const LONGEST_STALL: Duration = Duration::from_secs(5);
/// How often a credential is sent again where sending it failed: it is signed already.
const SENDS: u32 = 3;
/// One message that is not followed by its status at once may be the first of many, which wait.
#[cfg(feature = "grpc")]
const FIRST_STALL: Duration = Duration::from_millis(20);

/// The rest of an answer, and what it is paid from.
pub(super) struct Streaming<B = Body> {
    body: B,
    /// None while more is being signed for, and after the end.
    tab: Option<Tab>,
    extending: Option<JoinHandle<(Tab, Result<(), ClientError>)>>,
    /// Why nothing more is signed for.
    spent_up: Option<ClientError>,
    mode: PricingMode,
    begun: Begun,
    received: u64,
    /// Where it is made of messages.
    #[cfg(feature = "grpc")]
    messages: Option<Tally>,
    trailers: Option<HeaderMap>,
    /// What the service asked for.
    required: Option<Seq>,
    stall: Duration,
    events: Option<Events>,
    outcome: Option<Ended>,
}

enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Broken(ClientError),
    Extended,
    Stalled,
}

/// A piece of an answer.
pub(super) enum Piece {
    Data(Bytes),
    /// The last one.
    Trailers(
        #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "gRPC reads its status there"))]
        HeaderMap,
    ),
}

impl<B> Streaming<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<ClientError>> + Unpin,
{
    /// The answer to a call over gRPC.
    #[cfg(feature = "grpc")]
    pub(super) fn of_messages(body: B, tab: Tab) -> Self {
        Self { messages: Some(Tally::default()), ..Self::new(body, tab, false) }
    }

    pub(super) fn new(body: B, tab: Tab, is_event_stream: bool) -> Self {
        Self {
            body,
            mode: tab.pricing().mode,
            tab: Some(tab),
            extending: None,
            spent_up: None,
            begun: Begun::now(),
            received: 0,
            #[cfg(feature = "grpc")]
            messages: None,
            trailers: None,
            required: None,
            // events tell by themselves
            stall: if is_event_stream { LONGEST_STALL } else { STALL },
            events: is_event_stream.then(Events::default),
            outcome: None,
        }
    }

    /// What the service said at the end that it cost, and in all.
    pub(super) fn outcome(&self) -> Option<&Ended> {
        self.outcome.as_ref()
    }

    /// The next piece of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        match self.piece().await? {
            Some(Piece::Data(data)) => Ok(Some(data.to_vec())),
            Some(Piece::Trailers(_)) | None => Ok(None),
        }
    }

    /// The next piece. What it cost is booked before the last one is given out.
    pub(super) async fn piece(&mut self) -> Result<Option<Piece>, ClientError> {
        loop {
            self.extend();
            match self.step().await {
                Step::Data(data) => {
                    if self.events.is_none() {
                        self.stall = STALL;
                    }
                    self.take(&data);
                    return Ok(Some(Piece::Data(data)));
                }
                Step::Trailers(trailers) => {
                    self.outcome = said_in(&trailers);
                    self.trailers = Some(trailers);
                }
                Step::End => {
                    self.ended().await?;
                    return Ok(self.trailers.take().map(Piece::Trailers));
                }
                Step::Broken(error) => return Err(self.broke(error).await),
                Step::Extended => {}
                Step::Stalled => self.ask().await?,
            }
        }
    }

    /// Whichever comes first.
    async fn step(&mut self) -> Step {
        let (is_extending, patience) = (self.extending.is_some(), self.patience());
        let extended = async {
            match &mut self.extending {
                Some(extending) => extending.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            frame = self.body.frame() => match frame {
                None => Step::End,
                Some(Err(error)) => Step::Broken(error.into()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Step::Data(data),
                    Err(frame) => Step::Trailers(frame.into_trailers().unwrap_or_default()),
                },
            },
            done = extended => {
                self.extending = None;
                match done {
                    Ok((tab, Ok(()))) => self.tab = Some(tab),
                    Ok((tab, Err(error))) => (self.tab, self.spent_up) = (Some(tab), Some(error)),
                    // its task was ended with the runtime
                    Err(_) => {}
                }
                Step::Extended
            }
            () = sleep(patience), if !is_extending => Step::Stalled,
        }
    }

    /// Begins to sign for more where it is time to; the body goes on meanwhile.
    fn extend(&mut self) {
        let Some(tab) = self.tab.take_if(|_| self.spent_up.is_none()) else { return };
        let used = self.used(&tab);
        if self.required.is_none() && !tab.is_due(used) {
            self.tab = Some(tab);
            return;
        }
        let required = self.required.take();
        self.extending = Some(tokio::spawn(extended(tab, used, required)));
    }

    /// How long nothing may come before the service is asked whether it waits.
    fn patience(&self) -> Duration {
        #[cfg(feature = "grpc")]
        if self.mode == PricingMode::PerCall && self.count_of_messages() == 1 {
            return FIRST_STALL.max(self.stall.saturating_sub(STALL));
        }
        self.stall
    }

    /// Messages that came whole.
    fn count_of_messages(&self) -> u64 {
        #[cfg(feature = "grpc")]
        if let Some(messages) = &self.messages {
            return messages.count();
        }
        0
    }

    /// Bytes that came: of messages, without what parts them.
    fn count_of_bytes(&self) -> u64 {
        #[cfg(feature = "grpc")]
        if let Some(messages) = &self.messages {
            return messages.bytes();
        }
        self.received
    }

    /// What has come costs, as far as this side can count it.
    fn used(&self, tab: &Tab) -> Amount {
        let count = match self.mode {
            PricingMode::PerByte => self.count_of_bytes(),
            PricingMode::PerSecond => seconds_begun(self.begun.elapsed()),
            // one may be all there is
            PricingMode::PerCall if self.count_of_messages() > 1 => self.count_of_messages(),
            // the service says when it needs more
            PricingMode::PerCompute | PricingMode::PerCall => 0,
        };
        tab.rate().cost(count).unwrap_or(Amount::MAX)
    }

    /// The most that what has come can have cost.
    fn most(&self, tab: &Tab) -> Amount {
        let count = match self.mode {
            PricingMode::PerByte => return self.used(tab),
            PricingMode::PerSecond => seconds_at_most(self.begun.elapsed()),
            // a call may cost its price though nothing comes of it
            PricingMode::PerCall => self.count_of_messages().max(1),
            // only the service knows
            PricingMode::PerCompute => return tab.budget(),
        };
        tab.rate().cost(count).unwrap_or(Amount::MAX).min(tab.budget())
    }

    fn take(&mut self, data: &[u8]) {
        self.received = self.received.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        #[cfg(feature = "grpc")]
        if let Some(messages) = &mut self.messages {
            messages.take(data);
        }
        let Some(events) = &mut self.events else { return };
        for heard in events.hear(data) {
            match heard {
                Heard::Need(required) => self.required = required.or(self.required),
                Heard::End(ended) => self.outcome = Some(ended),
            }
        }
    }

    /// Asks whether the service waits for more.
    async fn ask(&mut self) -> Result<(), ClientError> {
        if let Some(error) = self.spent_up.take() {
            return Err(self.broke(error).await);
        }
        self.stall = self.stall.saturating_mul(2).min(LONGEST_STALL);
        let Some(tab) = &mut self.tab else { return Ok(()) };
        self.required = tab.look().await?;
        Ok(())
    }

    /// Waits until nothing more is being signed.
    async fn tab(&mut self) -> Option<Tab> {
        if let Some(extending) = self.extending.take() {
            self.tab = extending.await.ok().map(|(tab, _)| tab);
        }
        self.tab.take()
    }

    async fn ended(&mut self) -> Result<(), ClientError> {
        let Some(tab) = self.tab().await else { return Ok(()) };
        let most = self.most(&tab);
        let (cost, spent) =
            self.outcome.as_ref().map_or((None, None), |said| (Some(said.cost), Some(said.spent)));
        tab.end(cost, most, spent).await?;
        match self.outcome.as_mut().and_then(|said| said.refusal.take()) {
            Some(body) => Err(ClientError::Refused { status: body.error.http_status(), body }),
            None => Ok(()),
        }
    }

    /// It broke off. What it cost is for the service to say; what was signed for it may have been charged.
    async fn broke(&mut self, error: ClientError) -> ClientError {
        let Some(tab) = self.tab().await else { return error };
        // its metering proof takes back what was not charged
        let _ = tab.asked_for().await;
        drop(tab);
        self.spent_up.take().unwrap_or(error)
    }
}

/// Signs for a step more, or for what the service asked for, and sends it beside the answer.
pub(super) async fn extended(
    mut tab: Tab,
    used: Amount,
    required: Option<Seq>,
) -> (Tab, Result<(), ClientError>) {
    let extend = async {
        match required {
            Some(required) => tab.extend_to(required).await?,
            None => tab.extend(used).await?,
        };
        for sent in 1..SENDS {
            if tab.post().await.is_ok() {
                return Ok(());
            }
            sleep(STALL.saturating_mul(sent)).await;
        }
        tab.post().await
    };
    let extended = extend.await;
    (tab, extended)
}

fn said_in(trailers: &HeaderMap) -> Option<Ended> {
    let amount = |name| amount_in(trailers, name);
    let (cost, spent) = (amount(header::COST)?, amount(header::SPENT)?);
    Some(Ended { cost, spent, balance: amount(header::BALANCE)?, refusal: None })
}
