//! Work of the application's, which must neither take for ever nor take anybody with it.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
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

/// What `work` comes to, within a time. Most is done at once, and then there is no timer. Where no runtime counts the
/// time there is none either, and the work may take as long as it does.
pub(crate) async fn bounded<F: Future>(patience: Duration, work: F) -> Result<F::Output, Lapse> {
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    let mut timer = None;
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(|panic| Lapse::Panic(panic_text(&*panic)))),
        Poll::Pending => poll_timer(&mut timer, patience, cx).map(|()| Err(Lapse::TimedOut)),
    })
    .await
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
