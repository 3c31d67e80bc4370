use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// Notices when nothing goes on for too long. It has a timer only while it waits.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Nothing went on for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client has stalled")]
pub(super) struct Stalled;

impl Stall {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Passes on what was polled, unless that has been pending for too long.
    pub(super) fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<T>) -> Poll<Result<T, Stalled>> {
        match polled {
            Poll::Ready(headway) => {
                self.timer = None;
                Poll::Ready(Ok(headway))
            }
            Poll::Pending => {
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.limit)));
                timer.as_mut().poll(cx).map(|()| Err(Stalled))
            }
        }
    }
}
