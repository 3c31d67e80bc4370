//! What waits to be written to one socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker, ready};

use bytes::{Buf, Bytes};

use crate::close::Closed;
use crate::config::Config;
use crate::store::Outcome;
use crate::websocket::{self, CloseCode};

/// A bounded queue of frames between everybody who sends to a session and the task that owns its socket.
///
/// Sending locks, appends and wakes; it never waits for the socket. Invariants: frames leave in the order in
/// which they came; nothing follows a close frame; an idle outbox owns no buffer.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The first frame may be written in part: what is left of it stands here.
    queue: VecDeque<Bytes>,
    /// What the frames in the queue weigh together.
    bytes: usize,
    /// Whether the first frame has been begun, so that nothing may come before it.
    begun: bool,
    life: Life,
    /// The task that owns the socket.
    task: Option<Waker>,
}

#[derive(Debug, Default)]
enum Life {
    #[default]
    Open,
    /// A close frame is the last of the queue, or has been written.
    Closing(Box<Closed>),
    Ended,
}

/// How many frames one system call writes at most.
const BATCH: usize = 64;

impl Outbox {
    /// Appends a frame, unless the queue is full: then the session is closed as too slow.
    pub(crate) fn push(&self, frame: &Bytes, config: &Config) -> Outcome {
        let mut state = self.lock();
        if !matches!(state.life, Life::Open) {
            return Outcome::Gone;
        }
        let full = state.queue.len() >= config.queue_messages
            || (!state.queue.is_empty() && state.bytes + frame.len() > config.queue_bytes);
        if full {
            state.discard();
            state.close(Closed::by_server(CloseCode::TOO_SLOW, "too slow a reader"));
            state.wake();
            return Outcome::Slow;
        }
        state.append(frame.clone());
        state.wake();
        Outcome::Accepted
    }

    /// Appends a close frame behind what waits. The first reason to close stays the reason.
    pub(crate) fn close(&self, closed: Closed) -> Outcome {
        let mut state = self.lock();
        if !matches!(state.life, Life::Open) {
            return Outcome::Gone;
        }
        state.close(closed);
        state.wake();
        Outcome::Accepted
    }

    /// Puts a close frame in the place of all that waits: the peer would not read it, or must not.
    pub(crate) fn close_now(&self, closed: Closed) {
        let mut state = self.lock();
        if matches!(state.life, Life::Open) {
            state.discard();
            state.close(closed);
        }
    }

    /// Sends a ping as soon as a frame's end allows it.
    pub(crate) fn ping(&self) {
        self.lock().interject(websocket::ping(b""));
    }

    /// Answers a ping. An answer that still waits is replaced, as RFC 6455, section 5.5.3, allows: a flood of
    /// pings cannot fill the queue.
    pub(crate) fn pong(&self, payload: &[u8]) {
        self.lock().interject(websocket::pong(payload));
    }

    /// Whether what waits has reached half of a bound: time to write before taking more work on.
    pub(crate) fn is_filling(&self, config: &Config) -> bool {
        let state = self.lock();
        state.queue.len() > config.queue_messages / 2 || state.bytes > config.queue_bytes / 2
    }

    /// The end that was decided on, if one was.
    pub(crate) fn closing(&self) -> Option<Closed> {
        match &self.lock().life {
            Life::Closing(closed) => Some((**closed).clone()),
            Life::Open | Life::Ended => None,
        }
    }

    /// Whether frames are still taken.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.lock().life, Life::Open)
    }

    /// The socket is gone. Whoever still has a handle keeps nothing else alive by it.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        *state = State { life: Life::Ended, ..State::default() };
    }

    /// From now on whoever sends wakes this task.
    pub(crate) fn register(&self, task: &Waker) {
        self.lock().task = Some(task.clone());
    }

    /// The task is awake and will look for itself.
    pub(crate) fn unregister(&self) {
        self.lock().task = None;
    }

    /// Writes until nothing waits or the socket takes no more.
    pub(crate) fn poll_flush(
        &self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        while !state.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&state.queue) {
                *slice = IoSlice::new(frame);
                count += 1;
            }
            let written = ready!(write(&slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.advance(written);
        }
        // An idle session keeps no buffer.
        if state.queue.capacity() > 0 {
            state.queue = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.queue.push_back(frame);
    }

    /// Puts a control frame at the first place where a frame may begin.
    fn interject(&mut self, frame: Bytes) {
        if !matches!(self.life, Life::Open) {
            return;
        }
        let place = usize::from(self.begun);
        self.bytes += frame.len();
        match self.queue.get_mut(place) {
            Some(waiting) if waiting.first() == frame.first() => {
                self.bytes -= mem::replace(waiting, frame).len();
            }
            _ => self.queue.insert(place, frame),
        }
    }

    fn close(&mut self, closed: Closed) {
        self.append(websocket::close(closed.code, &closed.reason));
        self.life = Life::Closing(Box::new(closed));
    }

    /// Drops what waits, but for the rest of a frame that the peer has seen the beginning of.
    fn discard(&mut self) {
        self.queue.truncate(usize::from(self.begun));
        self.bytes = self.queue.iter().map(Bytes::len).sum();
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(frame) = self.queue.front_mut() {
            if written < frame.len() {
                frame.advance(written);
                self.begun |= written > 0;
                return;
            }
            written -= frame.len();
            self.begun = false;
            self.queue.pop_front();
        }
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}
