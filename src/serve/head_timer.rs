//! How long hyper waits for the head of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use super::activity::{Activity, Phase};
use super::config::ServeConfig;

/// hyper's timer for one connection.
///
/// hyper knows one time for a head, from when it begins to wait for it, and asks for a sleep then. But a client that has
/// just connected has something to say, while one that had its answer may have nothing for long, until the first byte of
/// the next request.
#[derive(Debug)]
pub(super) struct HeadTimer {
    head: Duration,
    idle: Duration,
    activity: Arc<Activity>,
}

impl HeadTimer {
    pub(super) fn new(config: &ServeConfig, activity: Arc<Activity>) -> Self {
        Self { head: config.head_timeout, idle: config.idle_timeout, activity }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Waiting { sleep: Box::pin(tokio::time::sleep(time)), next: None })
    }

    /// The deadline is hyper's own and of no interest.
    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        let is_idle = self.activity.begins_to_wait() == Phase::Idle;
        Box::pin(Waiting {
            sleep: Box::pin(tokio::time::sleep(if is_idle { self.idle } else { self.head })),
            next: is_idle.then(|| (self.activity.clone(), self.head)),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// The wait for one head. hyper polls it whenever it has read and the head is not complete.
struct Waiting {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// The time for the head, until its first byte has come.
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
