//! How a hub goes down.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::delivery::Recipients;
use crate::hub::Hub;
use crate::session::Session;
use crate::websocket::CloseCode;

/// Between two batches of closes.
const PAUSE: Duration = Duration::from_millis(100);

/// How many sessions a batch closes at least: to go slower would spare nobody anything.
const BATCH: usize = 100;

/// Part of the window of return for each session: 100 clients come back in a second, and the few pages of a developer at once.
const RETURN: Duration = Duration::from_millis(10);

/// Beyond its time a shutdown takes only as long as the runtime needs to drop what is cut.
const CUT: Duration = Duration::from_secs(1);

impl Hub {
    /// Lets nobody in any more (503, or close code 1013), closes every session, waits until the last connection has ended
    /// and its handlers are done, at most for `wait`, and then cuts what is left: the connection ends, its session
    /// leaves the store, and a handler that is still at work is dropped at its next await, without a call of `closed`.
    /// Returns how many connections it had to cut.
    ///
    /// Clients that speak `keywire.v1` are closed with 4005. Its reason is the window in milliseconds over which they spread
    /// their return: 10 ms for each session, at most `wait`. Others are closed with 1001. The closes are spread too, over at
    /// most half of `wait` and at 1000 sessions a second or more, so that neither this server nor the one to which the clients
    /// return has to do everything at once.
    ///
    /// A second call may be made at any time, and cuts by its own: `shutdown(Duration::ZERO)` ends a shutdown that
    /// takes too long.
    ///
    /// `keywire::serve` does this at its graceful end. What it cannot end is a handler that blocks its thread.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped nobody is let in any more, but sessions that were not closed yet stay. Another call
    /// closes them.
    pub async fn shutdown(&self, wait: Duration) -> usize {
        let drain = self.drain();
        drain.draining.store(true, Ordering::SeqCst);
        drain.connections.close();
        let orderly = async {
            self.close_in_batches(wait / 2, wait).await;
            drain.connections.wait().await;
        };
        // A timeout is said by what is left.
        let _ = timeout(wait, orderly).await;
        let _ = timeout(CUT, self.end_presence()).await;
        let left = drain.connections.len();
        if left > 0 {
            // Whoever has not been told in time is told now.
            let _ = timeout(CUT, self.close_in_batches(Duration::ZERO, wait)).await;
            drain.cut.cancel();
            tracing::warn!(connections = left, "cut at the end of a shutdown");
            let _ = timeout(CUT, drain.connections.wait()).await;
        }
        left
    }

    /// Closes all sessions, within about this time. Their clients come back within the window, at most.
    pub(super) async fn close_in_batches(&self, time: Duration, window: Duration) {
        let sessions = self.all_sessions().await;
        let count = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
        let window = window.min(RETURN.saturating_mul(count)).as_millis().to_string();
        let pauses = usize::try_from(time.as_millis() / PAUSE.as_millis()).unwrap_or(usize::MAX);
        let size = match pauses {
            0 => sessions.len().max(1),
            pauses => sessions.len().div_ceil(pauses).max(BATCH),
        };
        for (number, batch) in sessions.chunks(size).enumerate() {
            if number > 0 {
                sleep(PAUSE).await;
            }
            for session in batch {
                session.close(CloseCode::DRAIN, &*window);
            }
        }
    }

    /// All sessions of this node, those whose opening has begun included.
    async fn all_sessions(&self) -> Vec<Session> {
        let everyone = Recipients::everyone();
        // First: a session that enters the store in between is found there.
        let mut sessions = self.underway().promised(&everyone);
        sessions.extend(self.sessions_of(&everyone).await.unwrap_or_default());
        sessions
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::*;
    use crate::auth::RawKey;
    use crate::delivery::{Delivery, Order};
    use crate::key::{Identity, Key};
    use crate::limits::SessionPolicy;
    use crate::store::{Counts, Inserted, MemoryStore, Removed, SessionStore, StoreError};

    /// A hub with this many sessions, and the sessions. They have no connections.
    async fn populated(count: usize) -> (Hub, Vec<Session>) {
        let hub = Hub::builder(RawKey::from_path()).build();
        let mut sessions = Vec::new();
        for n in 0..count {
            sessions.push(enter(&hub, &n.to_string()).await);
        }
        (hub, sessions)
    }

    async fn enter(hub: &Hub, key: &str) -> Session {
        let session = Session::new(hub.clone(), Identity::new(Key::new(key).unwrap()), None, true, false);
        hub.store().insert(session.clone(), SessionPolicy::default()).await.unwrap();
        session
    }

    /// How many sessions were closed after each batch of a shutdown.
    async fn batches(count: usize, wait: Duration) -> Vec<usize> {
        let (hub, sessions) = populated(count).await;
        let down = tokio::spawn(async move { hub.shutdown(wait).await });
        let mut batches = Vec::new();
        // Looks in the middle between two batches.
        sleep(PAUSE / 2).await;
        loop {
            batches.push(sessions.iter().filter(|session| !session.is_open()).count());
            if down.is_finished() {
                return batches;
            }
            sleep(PAUSE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_sessions_are_closed_over_half_of_the_time() {
        let batches = batches(100_000, Duration::from_secs(30)).await;
        assert_eq!(batches.len(), 150);
        let size = 100_000_usize.div_ceil(150);
        for (number, closed) in batches.iter().enumerate() {
            assert_eq!(*closed, 100_000.min((number + 1) * size));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn few_sessions_are_closed_as_soon_as_spares_anybody_anything() {
        assert_eq!(batches(BATCH, Duration::from_secs(30)).await, [100]);
        assert_eq!(batches(250, Duration::from_secs(3600)).await, [100, 200, 250]);
        assert_eq!(batches(0, Duration::MAX).await, [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_time_all_are_closed_at_once() {
        let start = Instant::now();
        assert_eq!(batches(1000, Duration::ZERO).await, [1000]);
        assert_eq!(batches(1000, PAUSE).await, [1000]);
        assert_eq!(start.elapsed(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn another_shutdown_overtakes_the_first() {
        let (hub, sessions) = populated(1000).await;
        let first = hub.clone();
        let first = tokio::spawn(async move { first.shutdown(Duration::MAX).await });
        sleep(PAUSE / 2).await;
        let count = || sessions.iter().filter(|session| !session.is_open()).count();
        assert_eq!(count(), BATCH);
        assert_eq!(hub.shutdown(Duration::ZERO).await, 0);
        assert_eq!(count(), 1000);
        assert_eq!(first.await.unwrap(), 0);
    }

    /// A store that gives no answer to the first calls. The field is their number.
    struct Hanging(MemoryStore, AtomicUsize);

    #[async_trait]
    impl SessionStore for Hanging {
        async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
            self.0.insert(session, policy).await
        }

        async fn remove(&self, session: &Session) -> Removed {
            self.0.remove(session).await
        }

        async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
            self.0.dispatch(to, order).await
        }

        async fn sessions(&self, of: &Recipients) -> Vec<Session> {
            if self.1.fetch_sub(1, Ordering::SeqCst) > 0 {
                std::future::pending().await
            }
            self.0.sessions(of).await
        }

        async fn counts(&self) -> Counts {
            self.0.counts().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_does_not_keep_a_shutdown() {
        let wait = Duration::from_secs(10);
        for (times, took) in [(1, wait + CUT), (2, wait + 2 * CUT)] {
            let store = Hanging(MemoryStore::new(), times.into());
            let hub = Hub::builder(RawKey::from_path()).store(store).build();
            let session = enter(&hub, "alice").await;
            let start = Instant::now();
            let _connection = hub.drain().connection_token();
            assert_eq!(hub.shutdown(wait).await, 1);
            assert_eq!(start.elapsed(), took);
            assert_eq!(session.is_open(), times > 1, "closed with the rest once the store answers");
        }
    }
}
