//! Sessions that follow the log of their key.

use std::sync::{MutexGuard, PoisonError};

use super::Session;
use crate::delivery::{Entry, Outcome};
use crate::follow::{Follower, Offer};
use crate::frame::Frame;

impl Session {
    /// Sends a kept push: in the order of the log if the session follows it, else like any other push.
    pub(super) fn keep(&self, entry: &Entry) -> Outcome {
        let Some(mut follower) = self.follower() else { return self.send_frame(&entry.plain()) };
        let offer = follower.offer(entry, |entry| self.offer(entry));
        drop(follower);
        match offer {
            Offer::Send => return Outcome::Accepted,
            Offer::Wake => self.0.outbox.wake(),
            Offer::Later => {}
        }
        if self.is_open() { Outcome::Accepted } else { Outcome::Gone }
    }

    /// Queues an entry of the log if there is room.
    pub(crate) fn offer(&self, entry: &Entry) -> bool {
        self.offer_frame(entry.followed())
    }

    /// Queues a frame if it fits into half of the queue.
    pub(crate) fn offer_frame(&self, frame: Frame) -> bool {
        let (hub, messages) = (self.hub(), frame.count());
        let bytes = match self.0.compresses {
            true => frame.compressed(hub.config().compression).clone(),
            false => frame.into_bytes(),
        };
        let len = bytes.len();
        let queued = self.0.offer(bytes.into(), messages);
        if queued {
            hub.metrics().sent(Outcome::Accepted, messages, len);
        }
        queued
    }

    /// Tells the session that the log may have entries that it has not seen.
    pub(crate) fn catch_up(&self) -> Outcome {
        let offer = self.follower().map(|mut follower| follower.doubt());
        if offer == Some(Offer::Wake) {
            self.0.outbox.wake();
        }
        if self.is_open() { Outcome::Accepted } else { Outcome::Gone }
    }

    /// The session's position in the log of its key, if it follows the log.
    pub(crate) fn follower(&self) -> Option<MutexGuard<'_, Follower>> {
        let follower = self.0.seldom.follower.as_deref()?;
        // A poisoned lock is safe to use: no panic can interrupt a change.
        Some(follower.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
