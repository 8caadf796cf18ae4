//! What to do about a refusal. Pure: each remedy is tried a bounded number of times.

use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{ErrorBody, Shortage};
use amp_protocol::money::{Amount, Seq};

/// First pause for a service that has not seen the channel, or its top-up, yet; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Six pauses: 6.3 s in all, longer than a confirmation takes to reach every node.
const PAUSES: u32 = 6;

/// How often a stream is signed for anew before it has begun.
const STREAM_RAISES: u32 = 5;

/// What has been tried for one call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    raised: u32,
    /// How often that may be.
    raises: u32,
    topped_up: bool,
    reopened: bool,
    resumed: bool,
    waited: bool,
    pauses: u32,
    /// The channel is a delegate's, which the service may see later than this client does.
    delegate: bool,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Sign this seq, if the service's signed status and the client's own books justify it.
    Raise(Seq),
    /// Raise the deposit to at least this, or by the usual amount; then send the same credential.
    TopUp(Option<Amount>),
    /// See on chain whether the channel is gone, or a delegate's delegation; open another, or say so.
    Reopen,
    /// See how far the service is, and sign a newer seq.
    Resume,
    /// Send the same credential again after a while. The service refused it, so it is not used up.
    Again(Duration),
    /// Give the refusal to the caller.
    GiveUp,
}

impl Attempts {
    pub(super) fn new(delegate: bool) -> Self {
        Self { delegate, raises: 1, ..Self::default() }
    }

    /// Streams beside it may be faster, and take what is signed for this one.
    pub(super) fn of_stream(self, is_stream: bool) -> Self {
        Self { raises: if is_stream { STREAM_RAISES } else { self.raises }, ..self }
    }

    /// Chooses the remedy for a refusal and remembers it.
    pub(super) fn remedy(&mut self, body: &ErrorBody, max_wait: Duration) -> Remedy {
        match (body.error, body.shortage) {
            (Code::Underfunded, Some(Shortage::Ceiling)) => match body.required_seq {
                Some(required) if self.raised < self.raises => {
                    self.raised = self.raised.saturating_add(1);
                    Remedy::Raise(required)
                }
                Some(_) => Remedy::GiveUp,
                None => Remedy::GiveUp,
            },
            // the service may see a top-up later than this client does
            (Code::Underfunded, Some(Shortage::Balance)) if self.topped_up => self.pause(),
            (Code::Underfunded, Some(Shortage::Balance)) => once(&mut self.topped_up, Remedy::TopUp(None)),
            // lost calls that were charged use a limit up unseen; or the service sees a raise later
            (Code::Underfunded, Some(Shortage::DelegateLimit)) if self.delegate => {
                if self.resumed {
                    self.pause()
                } else {
                    once(&mut self.resumed, Remedy::Resume)
                }
            }
            (Code::InvalidSig, _) if self.delegate => once(&mut self.reopened, Remedy::Reopen),
            (Code::DepositLow, _) if self.topped_up => self.pause(),
            (Code::DepositLow, _) => once(&mut self.topped_up, Remedy::TopUp(body.min_deposit)),
            (Code::Closed, _) => once(&mut self.reopened, Remedy::Reopen),
            (Code::InvalidSeq, _) => once(&mut self.resumed, Remedy::Resume),
            // after two pauses a confirmed opening is seen: perhaps it is the channel that is gone
            (Code::NoChannel, _) if self.pauses == 2 && !self.reopened => {
                once(&mut self.reopened, Remedy::Reopen)
            }
            (Code::NoChannel, _) => self.pause(),
            (Code::RateExceeded, _) => match body.retry_after.map(Duration::from_secs) {
                Some(after) if after <= max_wait => once(&mut self.waited, Remedy::Again(after)),
                _ => Remedy::GiveUp,
            },
            _ => Remedy::GiveUp,
        }
    }

    fn pause(&mut self) -> Remedy {
        if self.pauses == PAUSES {
            return Remedy::GiveUp;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.pauses));
        self.pauses = self.pauses.saturating_add(1);
        Remedy::Again(pause)
    }
}

fn once(done: &mut bool, remedy: Remedy) -> Remedy {
    if std::mem::replace(done, true) { Remedy::GiveUp } else { remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(code: Code) -> ErrorBody {
        ErrorBody::new(code, "")
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        let underfunded = |shortage| ErrorBody { shortage: Some(shortage), ..body(Code::Underfunded) };
        let required = ErrorBody { required_seq: Some(Seq::new(7)), ..underfunded(Shortage::Ceiling) };
        let low = ErrorBody { min_deposit: Some(Amount::new(9)), ..body(Code::DepositLow) };
        let remedy = |body| Attempts::new(false).remedy(&body, Duration::from_secs(5));
        assert_eq!(remedy(required), Remedy::Raise(Seq::new(7)));
        assert_eq!(remedy(underfunded(Shortage::Ceiling)), Remedy::GiveUp);
        assert_eq!(remedy(underfunded(Shortage::Balance)), Remedy::TopUp(None));
        assert_eq!(remedy(underfunded(Shortage::DelegateLimit)), Remedy::GiveUp);
        assert_eq!(remedy(low), Remedy::TopUp(Some(Amount::new(9))));
        assert_eq!(remedy(body(Code::Closed)), Remedy::Reopen);
        assert_eq!(remedy(body(Code::InvalidSeq)), Remedy::Resume);
        assert_eq!(remedy(body(Code::NoChannel)), Remedy::Again(FIRST_PAUSE));
        assert_eq!(remedy(body(Code::InvalidSig)), Remedy::GiveUp);
        let delegates = |body| Attempts::new(true).remedy(&body, Duration::from_secs(5));
        assert_eq!(delegates(underfunded(Shortage::DelegateLimit)), Remedy::Resume);
        assert_eq!(delegates(body(Code::InvalidSig)), Remedy::Reopen);
        let rate = |after| ErrorBody { retry_after: Some(after), ..body(Code::RateExceeded) };
        assert_eq!(remedy(rate(5)), Remedy::Again(Duration::from_secs(5)));
        assert_eq!(remedy(rate(6)), Remedy::GiveUp);
    }

    proptest! {
        #[test]
        fn whatever_a_service_answers_a_call_ends(
            answers in proptest::collection::vec((0..9usize, 0..2usize), 40), delegate: bool,
        ) {
            let mut attempts = Attempts::new(delegate);
            let ended = answers.iter().any(|(index, shortage)| {
                let body = ErrorBody {
                    shortage: Some([Shortage::Balance, Shortage::DelegateLimit][*shortage]),
                    retry_after: Some(0),
                    ..body(Code::ALL[*index])
                };
                attempts.remedy(&body, Duration::from_secs(1)) == Remedy::GiveUp
            });
            prop_assert!(ended);
        }
    }
}
