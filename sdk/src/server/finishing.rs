//! Work that is finished though its caller goes away. It costs a task only where that happens.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Work that goes on as a task of its own when this is dropped before its end.
pub(crate) struct Finishing<T: Send + 'static>(Option<Work<T>>);

impl<T: Send + 'static> Finishing<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // taken out while it runs: what panics is not polled again
        let Some(mut work) = self.0.take() else { return Poll::Pending };
        let done = work.as_mut().poll(context);
        if done.is_pending() {
            self.0 = Some(work);
        }
        done
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        let Some(work) = self.0.take() else { return };
        // without a runtime nothing can be stored
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn work_whose_caller_waits_is_done_in_its_place() {
        assert_eq!(Finishing::new(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn work_whose_caller_goes_away_is_done_all_the_same() {
        let (begin, begun) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let work = Finishing::new(async move {
            begun.await.unwrap();
            done.send(7).unwrap();
        });
        assert!(timeout(Duration::from_millis(1), work).await.is_err());
        sleep(Duration::from_millis(1)).await;
        begin.send(()).unwrap();
        assert_eq!(is_done.await, Ok(7));
    }

    #[tokio::test]
    async fn work_whose_caller_panics_is_done_all_the_same() {
        let (done, is_done) = oneshot::channel();
        let caller = tokio::spawn(async move {
            let _work = Finishing::new(async move { done.send(7).unwrap() });
            panic!("the caller's own fault");
        });
        assert!(caller.await.is_err());
        assert_eq!(is_done.await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_panics_ends_its_caller_and_is_not_begun_again() {
        let caller = tokio::spawn(Finishing::new(async { panic!("the work's fault") }));
        assert!(caller.await.is_err());
    }

    #[tokio::test]
    async fn work_that_was_never_begun_is_done_too() {
        let (done, is_done) = oneshot::channel();
        drop(Finishing::new(async move { done.send(7).unwrap() }));
        assert_eq!(is_done.await, Ok(7));
    }
}
