//! What waits to be written to one socket.

mod flusher;
mod frames;
mod owned;
mod push;
mod queue;
mod state;
mod watchdog;

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

pub(crate) use self::flusher::Turn;
pub(crate) use self::frames::Frames;
pub(crate) use self::owned::{Owned, Owner};
pub(crate) use self::state::Stream;
use self::state::{Attention, Life, Replies, State};
use crate::close::Closed;
use crate::delivery::Outcome;
use crate::limits::{Config, SlowPolicy};
use crate::websocket::{self, CloseCode};

/// A bounded queue of frames between everybody who sends to a session and whoever writes to its socket.
///
/// Sending appends and never waits for the socket. Who writes, under the lock and in the order of the queue:
/// the session's own task when it is awake anyway, else a flusher, at the end of the turn in which something
/// was sent; so a burst leaves in one write and a lone push wakes nobody. What the socket does not take is
/// left to the session's own task.
///
/// Invariants: frames leave in the order in which they came; nothing follows a close frame; whatever is in
/// the queue, somebody will look at it (`Attention`); an idle outbox owns no buffer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Whether the peer's messages have to wait: because what waits for it has reached half of a bound, or
    /// because the session is ending. Outside of the lock, since the engine asks before every message.
    paused: AtomicBool,
    /// Whether a probe is on its way.
    probed: AtomicBool,
}

/// What [`Outbox::poll_read`] has read.
pub(crate) struct Read {
    /// Number of bytes. 0 is the end.
    pub(crate) len: usize,
    /// There is no more, and the task is woken when there is.
    pub(crate) is_last: bool,
}

/// What [`Outbox::attend`] has found.
pub(crate) struct Attended {
    /// A socket that was full has taken more since, which is a sign of life.
    pub(crate) progress: bool,
    /// The task is the one that slept last.
    pub(crate) same_task: bool,
}

/// What becomes of what a flusher looked at.
enum Flushed {
    Done,
    /// The connection's task must go on.
    HandedOver(Option<Waker>),
}

impl Outbox {
    /// From now on flushers may write to this socket.
    pub(crate) fn attach(&self, socket: TcpStream) {
        let mut state = self.lock();
        state.socket = Some(socket);
        state.home = Handle::try_current().ok().map(|runtime| runtime.id());
    }

    /// Makes room in a full queue, or says what becomes of the session or the message.
    #[cold]
    fn squeeze(&self, state: &mut State, bytes: usize, messages: usize, config: &Config) -> Outcome {
        // A long burst is not the reader's fault: perhaps nobody has tried to write any of it yet. That the socket is
        // broken is left to the connection's task to find.
        let _ = state.try_flush();
        if !state.is_full_for(bytes, messages, config) {
            return Outcome::Accepted;
        }
        match config.slow_readers {
            SlowPolicy::Close => {
                state.queue.discard();
                let closed = Closed::by_server(CloseCode::TOO_SLOW, "too slow a reader");
                self.begin_end(state, closed, Replies::Dropped);
                Outcome::Slow
            }
            SlowPolicy::DropNewest => Outcome::Dropped(messages),
            SlowPolicy::DropOldest => {
                let (kept_bytes, kept_messages) = state.queue.kept();
                if kept_messages > 0
                    && (kept_bytes + bytes > config.queue_bytes
                        || kept_messages + messages > config.queue_messages)
                {
                    return Outcome::Dropped(messages);
                }
                let mut dropped = 0;
                while state.is_full_for(bytes, messages, config) && state.queue.drop_oldest() {
                    dropped += 1;
                }
                Outcome::Displaced(dropped)
            }
        }
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        let task = self.lock().call_task();
        wake(task);
    }

    /// Takes nothing more, and ends the session behind what waits. The first reason to end stays the reason.
    pub(crate) fn close(&self, closed: Closed) -> Outcome {
        let mut state = self.lock();
        if !matches!(state.life, Life::Open) {
            return Outcome::Gone;
        }
        self.begin_end(&mut state, closed, Replies::Taken);
        Outcome::Accepted
    }

    /// The same, and drops what waits: the peer would not read it, or must not.
    pub(crate) fn close_now(&self, closed: Closed) {
        let mut state = self.lock();
        if matches!(state.life, Life::Open) {
            state.queue.discard();
            self.begin_end(&mut state, closed, Replies::Dropped);
        }
    }

    /// Appends the close frame. Whoever reads it may come back at once, so the session must have left the
    /// store.
    pub(crate) fn say_goodbye(&self) {
        let mut state = self.lock();
        if let Life::Closing(closed, _) = mem::replace(&mut state.life, Life::Ended) {
            state.queue.push(websocket::close(closed.code, &closed.reason).into(), 0);
        }
    }

    /// Sends a ping as soon as a frame's end allows it. For the connection's own task.
    pub(crate) fn ping(&self) {
        self.lock().interject(websocket::ping(b""));
    }

    /// Sends a ping for anyone who wants to know whether the client still answers. One at a time: its pong is an answer to
    /// all who ask meanwhile.
    pub(crate) fn probe(&self) {
        if self.probed.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.interject(websocket::ping(b""));
        let task = state.call_task();
        drop(state);
        wake(task);
    }

    /// A pong has come. Returns whether a probe was on its way.
    pub(crate) fn answered(&self) -> bool {
        self.probed.swap(false, Ordering::Relaxed)
    }

    /// Answers a ping. Where many answers wait, this one takes their place, as RFC 6455, section 5.5.3, allows:
    /// a flood of pings cannot fill the queue. For the connection's own task.
    pub(crate) fn pong(&self, payload: &[u8]) {
        self.lock().interject(websocket::pong(payload));
    }

    /// Whether no more work is to be taken on before something has been written, or at all.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// The end that was decided on, if one was.
    pub(crate) fn closing(&self) -> Option<Closed> {
        match &self.lock().life {
            Life::Closing(closed, _) => Some((**closed).clone()),
            Life::Open | Life::Ended => None,
        }
    }

    /// Whether the session is ending in a way that leaves time for replies.
    pub(crate) fn takes_replies(&self) -> bool {
        matches!(self.lock().life, Life::Closing(_, Replies::Taken))
    }

    /// Whether frames are still taken.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.lock().life, Life::Open)
    }

    /// The socket is gone. Whoever still has a handle keeps nothing else alive by it.
    pub(crate) fn end(&self) {
        let ended = State { life: Life::Ended, ..State::default() };
        // Its end lies outside of the lock.
        let state = mem::replace(&mut *self.lock(), ended);
        drop(state);
    }

    /// The connection's task is awake, and will flush before it sleeps.
    pub(crate) fn attend(&self, cx: &mut Context<'_>, stream: Stream<'_>) -> Attended {
        let mut state = self.lock();
        state.attention = Attention::Task;
        let same_task = state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker()));
        let before = state.taken;
        if state.full {
            // The task meets the same error again when it flushes.
            let _ = state.poll_flush(cx, stream);
        }
        Attended { progress: state.taken != before, same_task }
    }

    /// Whether the socket takes no more.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().full
    }

    /// [`State::press`].
    pub(crate) fn press(&self) -> bool {
        self.lock().press()
    }

    /// [`State::is_hung_up`].
    pub(crate) fn is_hung_up(&self) -> bool {
        self.lock().is_hung_up()
    }

    /// How many bytes the socket has taken, in units of 64 KiB. Wraps.
    pub(crate) fn taken(&self) -> u16 {
        self.lock().taken_units()
    }

    /// [`State::in_front`].
    pub(crate) fn in_front(&self, confirmed: u16) -> u16 {
        self.lock().in_front(confirmed)
    }

    /// Writes until nothing waits or the socket takes no more. For the connection's task; `stream` is its
    /// socket where it is not bare TCP.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>, stream: Stream<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let flushed = state.poll_flush(cx, stream);
        self.wrote(&state);
        flushed
    }

    /// The same, and then the task sleeps: whoever sends must see to the sending from now on. Returns the end
    /// that was decided on, if one was.
    pub(crate) fn poll_rest(
        &self,
        cx: &mut Context<'_>,
        stream: Stream<'_>,
    ) -> Poll<io::Result<Option<Closed>>> {
        let mut state = self.lock();
        if let Life::Closing(closed, _) = &state.life {
            return Poll::Ready(Ok(Some((**closed).clone())));
        }
        if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
        let flushed = state.poll_flush(cx, stream);
        state.attention = match flushed.is_pending() {
            true => {
                state.queue.trim();
                Attention::Socket
            }
            false => Attention::Nobody,
        };
        self.wrote(&state);
        flushed.map_ok(|()| None)
    }

    /// Reads what a bare TCP socket has, at most as much as `into` takes. For the connection's own task; a sender waits as
    /// long as one that writes waits for another.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut buffer = ReadBuf::new(into);
        let mut state = self.lock();
        let Some(socket) = &mut state.socket else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        ready!(Pin::new(&mut *socket).poll_read(cx, &mut buffer))?;
        let len = buffer.filled().len();
        // After a short read tokio knows that there is no more.
        let is_last = (1..buffer.capacity()).contains(&len) && socket.poll_read_ready(cx).is_pending();
        Poll::Ready(Ok(Read { len, is_last }))
    }

    /// Says to a bare TCP socket that nothing more will be written.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().socket {
            Some(socket) => Pin::new(socket).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Loads the outbox into the cache. A loop that does this to many outboxes waits for all of them at once, and not for each
    /// in turn: pushes and broadcasts to 10,000 sessions take about a sixth less time in user space.
    pub(crate) fn touch(&self) {
        std::hint::black_box((self.state.is_poisoned(), self.paused.load(Ordering::Relaxed)));
    }

    /// A flusher's part.
    fn flush(&self) -> Flushed {
        let mut state = self.lock();
        if state.attention != Attention::Flusher {
            return Flushed::Done;
        }
        let flushed = state.try_flush();
        self.wrote(&state);
        match flushed {
            Ok(()) => {
                state.attention = Attention::Nobody;
                Flushed::Done
            }
            // The task waits for the socket, or meets the same error and ends the session by it.
            Err(_) => Flushed::HandedOver(state.call_task()),
        }
    }

    /// Leaves to the connection's task what no flusher will do.
    fn hand_over(&self) {
        let mut state = self.lock();
        if state.attention == Attention::Flusher {
            wake(state.call_task());
        }
    }

    fn pause(&self, pause: bool) {
        self.paused.store(pause, Ordering::Relaxed);
    }

    fn begin_end(&self, state: &mut State, closed: Closed, replies: Replies) {
        state.life = Life::Closing(Box::new(closed), replies);
        self.pause(true);
        wake(state.call_task());
    }

    /// Something may have left the queue.
    fn wrote(&self, state: &State) {
        if state.queue.is_empty() && matches!(state.life, Life::Open) {
            self.pause(false);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

#[cfg(test)]
mod model;
