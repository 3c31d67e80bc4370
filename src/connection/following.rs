//! Feeds a session from the log of its key, if it follows that.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::follow::Word;
use crate::frame::Frame;
use crate::limits::Config;
use crate::log::{Limit, Page, ReadFrom};
use crate::session::Session;

/// The connection's part of following: it reads the log whenever the session's `Follower` is behind, and queues what it read
/// while the client takes it. So a slow client is not closed for kept pushes: they wait in the log.
pub(super) struct Following<'a> {
    session: &'a Session,
    /// The read in flight.
    read: Option<BoxFuture<'a, Page>>,
    /// What the client must know before the entries that were read.
    word: Option<Frame>,
    /// The hub's number of doubts at the last look.
    doubts: u32,
    /// The beginning of the last read.
    read_at: Instant,
}

/// The largest page, in bytes.
const PAGE_BYTES: usize = 256 * 1024;

/// The largest page, in entries.
const PAGE_ENTRIES: usize = 256;

/// Longest time between two looks for doubts, and between two reads of a log that other nodes append to. A lost announcement is late
/// by both at most.
pub(super) const DOUBT: Duration = Duration::from_secs(30);

/// The first and the longest delay before a failed read is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl<'a> Following<'a> {
    pub(super) fn of(session: &'a Session) -> Option<Box<Self>> {
        drop(session.follower()?);
        let doubts = session.hub().log()?.doubts();
        session.hub().metrics().log().followed();
        Some(Box::new(Self { session, read: None, word: None, doubts, read_at: Instant::now() }))
    }

    /// Reads and queues as much as there is and as has room.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(word) = &self.word {
                if !self.session.offer_frame(word.clone()) {
                    return;
                }
                self.word = None;
            }
            if let Some(read) = &mut self.read {
                let Poll::Ready(page) = read.as_mut().poll(cx) else { return };
                self.read = None;
                self.take(page);
                continue;
            }
            let Some(mut follower) = self.session.follower() else { return };
            let mut sent = 0;
            let all = follower.send_page(|entry| {
                let has_room = self.session.offer(entry);
                sent += usize::from(has_room);
                has_room
            });
            self.session.hub().metrics().log().replayed(sent);
            if !all || self.session.outbox().is_paused() {
                return;
            }
            let Some(from) = follower.begin_read() else { return };
            drop(follower);
            self.read_at = Instant::now();
            self.read = Some(Box::pin(read(self.session, from)));
        }
    }

    /// Whether another poll would get on, now that the queue is as it is. `flushed`: it is empty.
    pub(super) fn is_due(&self, flushed: bool) -> bool {
        if self.read.is_some() || self.session.outbox().is_paused() {
            return false;
        }
        let Some(follower) = self.session.follower() else { return false };
        follower.is_behind() || flushed && (self.word.is_some() || follower.is_feeding())
    }

    /// Reads the log again if a call to it has had an unknown outcome since the last look, or if an announcement of another node may
    /// have been lost for a while. Called whenever the timeouts are looked at.
    pub(super) fn check_doubts(&mut self) {
        let Some(log) = self.session.hub().log() else { return };
        if self.doubts != log.doubts() || log.is_shared && self.read_at.elapsed() >= DOUBT {
            self.doubts = log.doubts();
            self.session.catch_up();
        }
    }

    fn take(&mut self, page: Page) {
        let Some(mut follower) = self.session.follower() else { return };
        let word = follower.feed(page);
        drop(follower);
        if let Some(gap) = word.and_then(Word::gap) {
            self.session.hub().metrics().log().gap(gap);
        }
        self.word = word.map(|word| Frame::push(&word.push()));
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.session.hub().metrics().log().unfollowed();
    }
}

/// Reads a page, however long the log is away. The session stays open meanwhile.
async fn read(session: &Session, from: ReadFrom) -> Page {
    let limit = limit(session.hub().config());
    let (mut delay, longest) = RETRY;
    loop {
        if let Ok(page) = session.hub().read_log(session.key(), from, limit).await {
            return page;
        }
        // Spread, so that all followers of a node do not ask at once when the log is back.
        sleep(delay.mul_f64(0.5 + spread(session))).await;
        delay = (delay * 2).min(longest);
    }
}

/// A page fits into half of the queue, unless it is one large push.
fn limit(config: &Config) -> Limit {
    Limit {
        entries: PAGE_ENTRIES.min(config.queue_messages / 2).max(1),
        bytes: PAGE_BYTES.min(config.queue_bytes / 4),
    }
}

/// A number from 0 to 1 that differs from session to session.
fn spread(session: &Session) -> f64 {
    f64::from(session.id().short() % 1024) / 1024.0
}
