//! Turns for checks of credentials. A signature costs more than any message, and unknown clients cause a check with each
//! opening.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

use crate::limits::Address;

/// Limits the number of checks that compute at the same time, and lets other tasks run between two long checks.
///
/// Clients wait in lanes by address. An address with many checks delays its own lane, and delays other lanes by one check at most.
/// A hash with a random seed maps addresses to lanes.
#[derive(Debug)]
pub(crate) struct Turns {
    lanes: [Semaphore; LANES],
    /// One permit for every second processor. The other processors are left to sessions.
    turns: Semaphore,
    hasher: RandomState,
}

const LANES: usize = 16;

/// Duration of a check after which the task yields to other tasks.
const LONG: Duration = Duration::from_micros(50);

impl Turns {
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            lanes: [const { Semaphore::const_new(1) }; LANES],
            turns: Semaphore::new((processors / 2).max(1)),
            hasher: RandomState::new(),
        }
    }

    /// Runs the work in turns. The work holds no turn while it waits for something else.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the work is dropped and its turn is freed.
    pub(crate) async fn run<F: Future + Unpin>(&self, peer: Option<SocketAddr>, mut work: F) -> F::Output {
        let lane = &self.lanes[self.hasher.hash_one(peer.map(Address::from)) as usize % LANES];
        loop {
            // `acquire` cannot fail, since the semaphores are never closed.
            let place = lane.acquire().await;
            let turn = self.turns.acquire().await;
            let start = Instant::now();
            let progress = poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await;
            if start.elapsed() > LONG && progress.is_ready() {
                yield_now().await;
            }
            drop((turn, place));
            match progress {
                Poll::Ready(done) => return done,
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Ready at the next poll of the task.
async fn woken() {
    let mut asked = false;
    poll_fn(|_| if mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join_all, ready};

    use super::*;

    /// Computes for as long as a check of a signature.
    fn compute() {
        let start = Instant::now();
        while start.elapsed() <= LONG {}
    }

    #[tokio::test]
    async fn other_tasks_run_between_two_long_checks() {
        let turns = Arc::new(Turns::new());
        let other = Arc::new(AtomicUsize::new(0));
        let seen = other.clone();
        let ticking = tokio::spawn(async move {
            loop {
                seen.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        // All checks are ready at the same time.
        let checks = (0..20).map(|port| {
            let (turns, other) = (turns.clone(), other.clone());
            tokio::spawn(async move {
                let peer = SocketAddr::from(([192, 0, 2, 1], port));
                turns
                    .run(
                        Some(peer),
                        poll_fn(|_| {
                            compute();
                            Poll::Ready(other.load(Ordering::Relaxed))
                        }),
                    )
                    .await
            })
        });
        let mut at: Vec<_> = join_all(checks).await.into_iter().map(|at| at.expect("a check")).collect();
        ticking.abort();
        at.dedup();
        assert_eq!(at.len(), 20, "two checks ran in a row: {at:?}");
    }

    #[tokio::test]
    async fn work_that_waits_has_no_turn() {
        let turns = Turns::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let waiting = turns.run(None, told);
        let peer = Some(SocketAddr::from(([192, 0, 2, 1], 1)));
        let others = async {
            for _ in 0..100 {
                turns.run(peer, ready(())).await;
                turns.run(None, ready(())).await;
            }
            tell.send(7)
        };
        let (waited, sent) = tokio::join!(waiting, others);
        assert_eq!((waited, sent), (Ok(7), Ok(())));
    }
}
