//! Timer for the head of a request.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use super::activity::{Activity, Phase};
use super::config::ServeConfig;

/// hyper's timer for one connection.
///
/// hyper has one timeout for a head, and starts a sleep when it begins to wait. A new client should send its request at once, but a
/// client that got its response may be idle for long. This timer therefore uses another timeout until the first byte of the next
/// request.
#[derive(Debug)]
pub(super) struct HeadTimer {
    head: Duration,
    idle: Duration,
    activity: Arc<Activity>,
    /// The end of the wait for the first head, if it has begun before hyper.
    first: Mutex<Option<tokio::time::Instant>>,
}

impl HeadTimer {
    pub(super) fn new(
        config: &ServeConfig,
        activity: Arc<Activity>,
        first: Option<tokio::time::Instant>,
    ) -> Self {
        Self { head: config.head_timeout, idle: config.idle_timeout, activity, first: Mutex::new(first) }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Waiting { sleep: Box::pin(tokio::time::sleep(time)), next: None })
    }

    /// Ignores hyper's deadline.
    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        let is_idle = self.activity.begins_to_wait() == Phase::Idle;
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Box::pin(Waiting { sleep: Box::pin(tokio::time::sleep_until(first)), next: None });
        }
        Box::pin(Waiting {
            sleep: Box::pin(tokio::time::sleep(if is_idle { self.idle } else { self.head })),
            next: is_idle.then(|| (self.activity.clone(), self.head)),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// The wait for one head. hyper polls it after each read that leaves the head incomplete.
struct Waiting {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// The timeout to use after the first byte of the head. `None` after that byte.
    next: Option<(Arc<Activity>, Duration)>,
}

impl Sleep for Waiting {}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((_, head)) = self.next.take_if(|(activity, _)| activity.phase() == Phase::Head) {
            self.sleep = Box::pin(tokio::time::sleep(head));
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(())
    }
}
