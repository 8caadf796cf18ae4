//! A call whose answer comes as a whole and is paid for by what is counted meanwhile: what is signed for keeps up
//! with it.

use std::pin::pin;
use std::time::{Duration, Instant};

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use super::error::ClientError;
use super::streaming::{STALL, extended};
use super::tab::{Tab, seconds_begun};

/// The longest pause between two looks at a call: each costs its service a question, and a call that waits a pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Makes a call, and signs for more as it goes on. Beside what comes of the call there is the tab with all that was
/// signed for it.
///
/// # Errors
/// What the call failed with; or why nothing more is signed for, where the service waits for that: the call is given
/// up then. It counts as what the service can show for it.
pub(super) async fn keep_up<T>(
    tab: Tab,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<(Tab, T), ClientError> {
    let (ended, end) = oneshot::channel();
    let (give_up, given_up) = oneshot::channel();
    // a task of its own: a signature that was begun is not left half made where the call is dropped
    let keeping = tokio::spawn(keep(tab, end, give_up));
    let done = {
        let mut call = pin!(call);
        tokio::select! {
            biased;
            done = &mut call => done,
            Ok(error) = given_up => Err(error),
        }
    };
    drop(ended);
    let tab = match keeping.await.map_err(JoinError::try_into_panic) {
        Ok(tab) => tab,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // it ended with its runtime, as this does
        Err(Err(_)) => std::future::pending().await,
    };
    match done {
        Ok(answer) => Ok((tab, answer)),
        Err(error) => {
            // its metering proof takes back what was not charged
            let _ = tab.asked_for().await;
            Err(error)
        }
    }
}

/// Signs for more until the call has ended. Says so where it can't though the service waits for it.
async fn keep(mut tab: Tab, mut end: oneshot::Receiver<()>, give_up: oneshot::Sender<ClientError>) -> Tab {
    let (begun, mut pause, mut is_spent_up) = (Instant::now(), STALL, false);
    let by_the_second = tab.pricing().mode == PricingMode::PerSecond;
    loop {
        tokio::select! {
            biased;
            _ = &mut end => return tab,
            () = tokio::time::sleep(pause) => {}
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        // what else is counted only the service knows
        let seconds = if by_the_second { seconds_begun(begun.elapsed()) } else { 0 };
        let used = tab.rate().cost(seconds).unwrap_or(Amount::MAX);
        if by_the_second && !is_spent_up && tab.is_due(used) {
            let extended = extended(tab, used, None).await;
            // it may end in time all the same
            (tab, is_spent_up) = (extended.0, extended.1.is_err());
            continue;
        }
        let looked = tokio::select! {
            biased;
            _ = &mut end => return tab,
            looked = tab.look() => looked,
        };
        let signed = match looked {
            Ok(None) => continue,
            Ok(Some(required)) => {
                let extended = extended(tab, used, Some(required)).await;
                tab = extended.0;
                extended.1
            }
            Err(error) => Err(error),
        };
        if let Err(error) = signed {
            let _ = give_up.send(error);
            let _ = end.await;
            return tab;
        }
        pause = STALL;
    }
}
