//! Work of the application's, which must neither take for ever nor take anybody with it.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lapse {
    #[error("timed out")]
    TimedOut,
    #[error("panic: {0}")]
    Panic(String),
}

/// What a call comes to, within a time. Most are done at once, and then there is no timer. Where no runtime counts the
/// time there is none either, and the call may take as long as it does.
///
/// Not `async` itself, for then the future would hold the call twice.
pub(crate) fn bounded<F: Future + Unpin>(
    patience: Duration,
    begin: impl FnOnce() -> F,
) -> impl Future<Output = Result<F::Output, Lapse>> {
    let mut call = guarded(begin).map_err(Some);
    let mut timer = None;
    poll_fn(move |cx| match &mut call {
        Ok(call) => match guarded(|| Pin::new(call).poll(cx)) {
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Ok(Poll::Pending) => poll_timer(&mut timer, patience, cx).map(|()| Err(Lapse::TimedOut)),
            Err(panic) => Poll::Ready(Err(panic)),
        },
        Err(panic) => Poll::Ready(Err(panic.take().unwrap_or(Lapse::TimedOut))),
    })
}

fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Lapse> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Lapse::Panic(panic_text(&*panic)))
}

fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, patience: Duration, cx: &mut Context<'_>) -> Poll<()> {
    if timer.is_none() && Handle::try_current().is_err() {
        return Poll::Pending;
    }
    // It panics in a runtime that was built without timers, and in one that goes away.
    let polled = catch_unwind(AssertUnwindSafe(|| {
        timer.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx)
    }));
    polled.unwrap_or(Poll::Pending)
}

/// What somebody panicked with.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".into())
}
