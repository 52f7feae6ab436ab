//! Work that comes to its end whether or not somebody waits for it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// Work that runs where it is awaited, and goes on by itself on the runtime when whoever awaited it has gone.
/// So what was received is finished even if the sender disconnects, and as long as it waits, no task of
/// its own stands between the answer and the connection. Comes out as `None` when the work panicked.
pub(super) struct Finished<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> Finished<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for Finished<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(work) = self.0.as_mut() else { return Poll::Ready(None) };
        // What panicked is not looked at again.
        let done = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(done)) => Some(done),
            Err(_) => None,
        };
        self.0 = None;
        Poll::Ready(done)
    }
}

impl<T: Send + 'static> Drop for Finished<T> {
    fn drop(&mut self) {
        // Without a runtime the program is at its end, and with it every task.
        if let Some(work) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::Finished;

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_goes_on() {
        for polled in [false, true] {
            let (go, gate) = oneshot::channel::<()>();
            let (done, seen) = oneshot::channel();
            let mut work = Finished::new(async move {
                gate.await.unwrap();
                done.send(()).unwrap();
            });
            if polled {
                tokio::select! {
                    biased;
                    _ = &mut work => panic!("done too early"),
                    () = std::future::ready(()) => {}
                }
            }
            drop(work);
            go.send(()).unwrap();
            seen.await.unwrap();
        }
    }

    #[tokio::test]
    async fn work_is_done_once_and_a_panic_stays_inside() {
        assert_eq!(Finished::new(async { 7 }).await, Some(7));
        let fails = Finished::new(async { std::hint::black_box(None::<u8>).unwrap() });
        assert_eq!(fails.await, None);
    }
}
