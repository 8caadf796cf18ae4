use std::sync::Arc;
use std::time::Instant;

use amp_protocol::json::CredentialBody;
use amp_protocol::money::Amount;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span, debug_span};

use super::{Metrics, Outcome};
use crate::server::admission::{Admission, Receipt};
use crate::server::denial::Denial;
use crate::server::once::Authorized;

/// A request that is watched from its credential's arrival until something came of it: its span, and that it
/// is counted once. Dropped before that, its client went away or its handler panicked.
///
/// The span has the public part of the credential. The signature is not in it: with one a stranger could ask
/// for the channel's status.
pub(crate) struct Observed(Option<Open>);

struct Open {
    span: Span,
    metrics: Arc<Metrics>,
}

impl Observed {
    /// A request that arrived.
    pub(crate) fn begin(metrics: &Arc<Metrics>, credential: &CredentialBody, price: Amount) -> Self {
        let span = debug_span!("amp.request", channel = %credential.channel, signer = Empty,
            seq = %credential.seq, price = %price, cost = Empty, outcome = Empty);
        Self(Some(Open { span, metrics: metrics.clone() }))
    }

    /// None, or one that was counted.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Leaves none in its place.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// What is done for the request happens within it.
    pub(crate) fn span(&self) -> Span {
        self.0.as_ref().map_or_else(Span::none, |open| open.span.clone())
    }

    /// Something came of it.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if let Some(Open { span, metrics }) = self.0.take() {
            span.record("outcome", outcome.label());
            metrics.requests.count(outcome);
        }
    }

    /// Waits until it is admitted or refused. What is admitted goes on being watched.
    pub(crate) async fn admit<A: Authorization>(
        mut self,
        authorized: impl Future<Output = Result<A, Denial>>,
    ) -> Result<A, Denial> {
        let begun = Instant::now();
        let mut authorized = authorized.instrument(self.span()).await;
        if let Some(open) = &self.0 {
            open.metrics.requests.admission_took(begun);
        }
        match authorized.as_mut().map(A::admission) {
            Ok(Some(admission)) => {
                self.span().record("signer", display(&admission.payment().signer));
                admission.observed = self;
            }
            Ok(None) => self.end(Outcome::Repeated),
            Err(denial) => self.end(Outcome::of(denial)),
        }
        authorized
    }

    /// Waits until its charge is on disk.
    pub(crate) async fn charge(
        mut self,
        price: Amount,
        charged: impl Future<Output = Result<Receipt, Denial>>,
    ) -> Result<Receipt, Denial> {
        let charged = charged.instrument(self.span()).await;
        match &charged {
            Ok(receipt) => {
                self.span().record("cost", display(receipt.cost));
                self.end(match (receipt.cost.is_zero(), price.is_zero()) {
                    (false, _) => Outcome::Served,
                    (true, true) => Outcome::CeilingRaised,
                    (true, false) => Outcome::NotCharged,
                });
            }
            Err(denial) => self.end(denial.code().map_or(Outcome::NotStored, Outcome::Refused)),
        }
        charged
    }
}

/// What a request that is not refused gets.
pub(crate) trait Authorization {
    /// Its admission; `None`: it is not done again.
    fn admission(&mut self) -> Option<&mut Admission>;
}

impl Authorization for Admission {
    fn admission(&mut self) -> Option<&mut Admission> {
        Some(self)
    }
}

impl Authorization for Authorized {
    fn admission(&mut self) -> Option<&mut Admission> {
        match self {
            Self::First(admission) => Some(admission),
            Self::Again { .. } => None,
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { Outcome::NotCharged } else { Outcome::ClientGone });
    }
}

impl Admission {
    /// Runs the request's handler within its span. Where the handler fails, that is what came of it.
    pub(crate) async fn handle<T, E>(&mut self, handler: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let answered = handler.instrument(self.observed.span()).await;
        if answered.is_err() {
            self.observed.end(Outcome::NotCharged);
        }
        answered
    }
}
