//! Credentials are checked in turn: a signature costs more than any message does, and a client can ask for as many checks
//! as it opens connections, before anything is known of it.

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

/// Few checks compute at the same time, and whatever else is ready comes between two that take long.
///
/// Clients wait in lanes by address, so one address that asks for many checks delays those of the same lane, and others by
/// one check for each lane. Which address is in which lane is drawn at random.
#[derive(Debug)]
pub(crate) struct Turns {
    lanes: [Semaphore; LANES],
    /// Half of the processors stay free for sessions.
    turns: Semaphore,
    hasher: RandomState,
}

const LANES: usize = 16;

/// Work that has computed for longer lets others have their turn before the next.
const DEAR: Duration = Duration::from_micros(50);

impl Turns {
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            lanes: [const { Semaphore::const_new(1) }; LANES],
            turns: Semaphore::new((processors / 2).max(1)),
            hasher: RandomState::new(),
        }
    }

    /// Does the work. While it waits for something else it has no turn.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the work is, and its turn is free.
    pub(crate) async fn run<F: Future + Unpin>(&self, peer: Option<SocketAddr>, mut work: F) -> F::Output {
        let lane = &self.lanes[self.hasher.hash_one(peer.map(Address::from)) as usize % LANES];
        loop {
            // Nobody closes them.
            let place = lane.acquire().await;
            let turn = self.turns.acquire().await;
            let start = Instant::now();
            let progress = poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await;
            if start.elapsed() > DEAR && progress.is_ready() {
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

/// Ready when the task is polled again.
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

    /// Takes as long as a check of a signature.
    fn compute() {
        let start = Instant::now();
        while start.elapsed() <= DEAR {}
    }

    #[tokio::test]
    async fn others_have_their_turn_between_two_that_take_long() {
        let turns = Arc::new(Turns::new());
        let other = Arc::new(AtomicUsize::new(0));
        let seen = other.clone();
        let ticking = tokio::spawn(async move {
            loop {
                seen.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        // All are ready in the same moment.
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
        assert_eq!(at.len(), 20, "two in a row: {at:?}");
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
