//! Calls of application code (handler, extractor, store, ticket store) with a time limit and with panics caught.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

/// Reason why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("timed out")]
    TimedOut,
    #[error("panic: {0}")]
    Panicked(String),
}

/// Calls application code with a time limit. A call that is ready at once sets no timer. Outside of a tokio runtime there is no
/// time limit.
///
/// This is not an `async fn`, since its future would hold the call twice.
pub(crate) fn call_app<F: Future + Unpin>(
    limit: Duration,
    begin: impl FnOnce() -> F,
) -> impl Future<Output = Result<F::Output, CallError>> {
    let mut call = catch_panic(begin).map_err(Some);
    let mut timer = None;
    poll_fn(move |cx| match &mut call {
        Ok(call) => match catch_panic(|| Pin::new(call).poll(cx)) {
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Ok(Poll::Pending) => poll_timer(&mut timer, limit, cx).map(|()| Err(CallError::TimedOut)),
            Err(panic) => Poll::Ready(Err(panic)),
        },
        Err(panic) => Poll::Ready(Err(panic.take().unwrap_or(CallError::TimedOut))),
    })
}

/// Runs application code and turns its panic into an error.
#[inline]
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, CallError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| CallError::Panicked(message(&*payload)))
}

fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
    if timer.is_none() && Handle::try_current().is_err() {
        return Poll::Pending;
    }
    // tokio panics if the runtime has no timers or shuts down.
    let polled = catch_unwind(AssertUnwindSafe(|| {
        timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx)
    }));
    polled.unwrap_or(Poll::Pending)
}

/// The message of a panic.
#[cold]
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".into())
}
