//! How long hyper waits for the head of a request.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::config::ServeConfig;
use super::counted::Reads;
use hyper::rt::{Sleep, Timer};

/// hyper's timer for one connection.
///
/// hyper knows one time for a head, from when it begins to wait for it, and asks for a sleep then. But a client that has
/// just connected has something to say, while one that had its answer may have nothing for long, until the first byte of
/// the next request.
#[derive(Debug)]
pub(super) struct Patience {
    head: Duration,
    idle: Duration,
    reads: Reads,
    is_first: AtomicBool,
}

impl Patience {
    pub(super) fn new(config: &ServeConfig, reads: Reads) -> Self {
        let (head, idle) = (config.head_timeout, config.idle_timeout);
        Self { head, idle, reads, is_first: AtomicBool::new(true) }
    }
}

impl Timer for Patience {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Waiting { sleep: Box::pin(tokio::time::sleep(time)), next: None })
    }

    /// The deadline is hyper's own and of no interest.
    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        let time = if is_first { self.head } else { self.idle };
        Box::pin(Waiting {
            sleep: Box::pin(tokio::time::sleep(time)),
            next: (!is_first).then(|| Next {
                reads: self.reads.clone(),
                before: self.reads.count(),
                head: self.head,
            }),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// The wait for one head. hyper polls it whenever it has read and the head is not complete.
struct Waiting {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// There until the first byte has come.
    next: Option<Next>,
}

struct Next {
    reads: Reads,
    before: usize,
    head: Duration,
}

impl Sleep for Waiting {}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(next) = self.next.take_if(|next| next.reads.count() > next.before) {
            self.sleep = Box::pin(tokio::time::sleep(next.head));
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(())
    }
}
