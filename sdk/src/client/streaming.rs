//! An answer that is paid for while it comes: what is signed for stays a little ahead of what has come.

use std::time::{Duration, Instant};

use amp_protocol::json::PricingMode;
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::header;
use http_body_util::BodyExt as _;
use reqwest::Body;
use reqwest::header::HeaderMap;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::error::ClientError;
use super::events::{Ended, Events, Heard};
use super::tab::Tab;

/// An answer that makes no progress for so long may wait for more to be signed.
const STALL: Duration = Duration::from_millis(300);

/// The rest of an answer, and what it is paid from.
pub(super) struct Streaming {
    body: Body,
    /// None while more is being signed for, and after the end.
    tab: Option<Tab>,
    extending: Option<JoinHandle<(Tab, Result<(), ClientError>)>>,
    /// Why nothing more is signed for.
    spent_up: Option<ClientError>,
    mode: PricingMode,
    begun: Instant,
    received: u64,
    /// What the service asked for.
    required: Option<Seq>,
    events: Option<Events>,
    outcome: Option<Ended>,
}

enum Step {
    Data(Vec<u8>),
    End,
    Broken(ClientError),
    Extended,
    Stalled,
}

impl Streaming {
    pub(super) fn new(body: Body, tab: Tab, is_event_stream: bool) -> Self {
        Self {
            body,
            mode: tab.pricing().mode,
            tab: Some(tab),
            extending: None,
            spent_up: None,
            begun: Instant::now(),
            received: 0,
            required: None,
            events: is_event_stream.then(Events::default),
            outcome: None,
        }
    }

    /// What the service said at the end that it cost, and in all.
    pub(super) fn outcome(&self) -> Option<&Ended> {
        self.outcome.as_ref()
    }

    /// The next piece.
    pub(super) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            self.extend();
            match self.step().await {
                Step::Data(data) => {
                    self.take(&data);
                    return Ok(Some(data));
                }
                Step::End => {
                    self.ended().await?;
                    return Ok(None);
                }
                Step::Broken(error) => return Err(self.broke(error).await),
                Step::Extended => {}
                Step::Stalled => self.ask().await?,
            }
        }
    }

    /// Whichever comes first.
    async fn step(&mut self) -> Step {
        let is_extending = self.extending.is_some();
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
                    Ok(data) => Step::Data(data.to_vec()),
                    Err(frame) => {
                        self.outcome = frame.trailers_ref().and_then(said_in);
                        Step::Extended
                    }
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
            () = sleep(STALL), if !is_extending => Step::Stalled,
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

    /// What has come costs, as far as this side can count it.
    fn used(&self, tab: &Tab) -> Amount {
        let count = match self.mode {
            PricingMode::PerByte => self.received,
            PricingMode::PerSecond => self.begun.elapsed().as_secs().saturating_add(1),
            // the service says when it needs more
            PricingMode::PerCompute | PricingMode::PerCall => 0,
        };
        tab.rate().cost(count).unwrap_or(Amount::MAX)
    }

    /// The most that what has come can have cost.
    fn most(&self, tab: &Tab) -> Amount {
        match self.mode {
            PricingMode::PerByte => self.used(tab),
            // the service's clock began before the answer's head was here
            PricingMode::PerSecond => {
                let seconds = self.begun.elapsed().as_secs().saturating_add(3);
                tab.rate().cost(seconds).unwrap_or(Amount::MAX).min(tab.authorized())
            }
            PricingMode::PerCompute | PricingMode::PerCall => tab.authorized(),
        }
    }

    fn take(&mut self, data: &[u8]) {
        self.received = self.received.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
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
        let Some(tab) = &self.tab else { return Ok(()) };
        // it may be that the service has nothing to send: a failed question is no reason to end it
        let asked = tab.asked_for().await.ok().flatten();
        let authorized = tab.credential().seq;
        self.required = asked.filter(|required| *required > authorized);
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
            Some(body) => {
                Err(ClientError::Refused { status: body.error.http_status(), body: Box::new(body) })
            }
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

async fn extended(mut tab: Tab, used: Amount, required: Option<Seq>) -> (Tab, Result<(), ClientError>) {
    let extend = async {
        match required {
            Some(required) => tab.extend_to(required).await?,
            None => tab.extend(used).await?,
        };
        tab.post().await
    };
    let extended = extend.await;
    (tab, extended)
}

fn said_in(trailers: &HeaderMap) -> Option<Ended> {
    let amount = |name| trailers.get(name)?.to_str().ok()?.parse().ok();
    let (cost, spent) = (amount(header::COST)?, amount(header::SPENT)?);
    Some(Ended { cost, spent, balance: amount(header::BALANCE)?, refusal: None })
}
