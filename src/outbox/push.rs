//! Queues frames.

use std::sync::{Arc, MutexGuard};

use super::frames::Frames;
use super::owned::{Owned, Owner};
use super::state::{Attention, Life, Replies, State};
use super::{flusher, wake};
use crate::delivery::Outcome;

/// Sending. Each method queues a frame of this many messages.
impl<T: Owner> Owned<T> {
    /// Queues a frame. If the queue is full, the policy decides.
    pub(crate) fn push(self: &Arc<Self>, frames: Frames, messages: usize) -> Outcome {
        self.append_if_open(self.outbox.lock(), frames, messages)
    }

    /// The same with frames that are made only if they cannot be copied behind those that wait: a burst to many sessions counts no
    /// reference for each message.
    #[inline(always)]
    pub(crate) fn push_copy(
        self: &Arc<Self>,
        bytes: &[u8],
        messages: usize,
        frames: impl FnOnce() -> Frames,
    ) -> Outcome {
        let mut state = self.outbox.lock();
        if state.gather(bytes, messages, self.owner.config()) {
            return Outcome::Accepted;
        }
        self.append_if_open(state, frames(), messages)
    }

    /// Queues a frame that can also wait elsewhere, if there is room in half of the queue. Nothing becomes of the session if
    /// there is none.
    pub(crate) fn offer(self: &Arc<Self>, frames: Frames, messages: usize) -> bool {
        let config = self.owner.config();
        let mut state = self.outbox.lock();
        if !matches!(state.life, Life::Open) {
            return false;
        }
        let is_full =
            |state: &State| state.is_filling(config) || state.is_full_for(frames.len(), messages, config);
        if is_full(&state) {
            // Perhaps nobody has tried to write yet. The connection's task finds out if the socket is broken.
            let _ = state.try_flush();
            if is_full(&state) {
                return false;
            }
        }
        self.append(state, frames, messages).is_queued()
    }

    /// Queues a reply, also while the session ends. For the connection's own task, which flushes afterwards.
    #[inline(always)]
    pub(crate) fn reply(self: &Arc<Self>, frames: Frames, messages: usize) -> Outcome {
        let mut state = self.outbox.lock();
        if state.gather(frames.as_slice(), messages, self.owner.config()) {
            drop(state);
            frames.recycle();
            return Outcome::Accepted;
        }
        self.append_reply(state, frames, messages)
    }

    #[inline(never)]
    fn append_reply(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        frames: Frames,
        messages: usize,
    ) -> Outcome {
        match state.life {
            Life::Open => self.append(state, frames, messages),
            Life::Closing(_, Replies::Taken)
                if !state.is_full_for(frames.len(), messages, self.owner.config()) =>
            {
                // To a socket, taking nothing is an error.
                if frames.len() > 0 {
                    state.queue.push(frames, messages);
                }
                Outcome::Accepted
            }
            Life::Closing(..) | Life::Ended => Outcome::Gone,
        }
    }

    #[inline(always)]
    fn append_if_open(
        self: &Arc<Self>,
        state: MutexGuard<'_, State>,
        frames: Frames,
        messages: usize,
    ) -> Outcome {
        match state.life {
            Life::Open => self.append(state, frames, messages),
            Life::Closing(..) | Life::Ended => Outcome::Gone,
        }
    }

    // Inlined into its callers: a call would cost a broadcast more than what it does for each session.
    #[inline(always)]
    fn append(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        frames: Frames,
        messages: usize,
    ) -> Outcome {
        let (outbox, config) = (&self.outbox, self.owner.config());
        let mut outcome = Outcome::Accepted;
        // To a socket, taking nothing is an error.
        if frames.len() == 0 {
            return outcome;
        }
        if state.is_full_for(frames.len(), messages, config) {
            outcome = outbox.squeeze(&mut state, frames.len(), messages, config);
            if matches!(outcome, Outcome::Slow | Outcome::Dropped(_)) {
                return outcome;
            }
        }
        state.queue.push(frames, messages);
        outbox.pause(state.is_filling(config));
        if state.attention == Attention::Socket {
            self.owner.metrics().behind(state.queue.messages(), state.queue.bytes(), config);
        }
        if state.attention == Attention::Nobody {
            if let Some(home) = state.home {
                state.attention = Attention::Flusher;
                drop(state);
                flusher::note(self, home);
            } else {
                wake(state.call_task());
            }
        }
        outcome
    }
}
