//! The same work at different places of the stack.
//!
//! How fast a signature is checked depends on where its frame lies, by as much as a third: loads and stores of
//! vectors whose addresses agree in their lower bits wait for each other. What is measured lies at one place, what it is
//! measured against at another, and any change of the code moves them. So each round has a place of its own.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;

/// Rounds after which places repeat.
const PLACES: usize = 16;

/// Runs `work` so many frames of 256 bytes further down.
pub(crate) fn at_depth<T>(round: usize, work: &mut dyn FnMut() -> T) -> T {
    descend(round % PLACES, work)
}

#[inline(never)]
fn descend<T>(left: usize, work: &mut dyn FnMut() -> T) -> T {
    let frame = black_box([0_u8; 256]);
    let done = if left == 0 { work() } else { descend(left - 1, work) };
    black_box(&frame);
    done
}

/// Polls `future` there.
pub(crate) async fn polled_at_depth<F: Future>(round: usize, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(move |context| at_depth(round, &mut || future.as_mut().poll(context))).await
}
