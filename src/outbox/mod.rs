//! What waits to be written to one socket.

mod flusher;
mod queue;
mod watchdog;

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};

pub(crate) use self::flusher::Turn;
use self::queue::Queue;
use crate::close::Closed;
use crate::config::{Config, SlowPolicy};
use crate::session::Session;
use crate::store::Outcome;
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

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    life: Life,
    attention: Attention,
    /// Whether the socket has taken no more when the task last wrote to it.
    full: bool,
    /// How many bytes the socket has taken. Wraps.
    taken: u32,
    /// The socket, where it is bare TCP, so that whoever sends can write. Else only the task has it.
    socket: Option<TcpStream>,
    /// The runtime that turns the connection's task, and so will turn a flusher's.
    home: Option<runtime::Id>,
    /// The task that owns the connection.
    task: Option<Waker>,
}

#[derive(Debug, Default)]
enum Life {
    #[default]
    Open,
    /// Nothing more is sent but replies. The close frame follows when the session has left the store.
    Closing(Box<Closed>, Replies),
    /// The close frame is in the queue, or the socket is gone.
    Ended,
}

/// Whether messages that came before an end are still answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replies {
    Taken,
    /// The peer would not read them, or must not.
    Dropped,
}

/// More than this many units of 64 KiB the system's buffers do not hold, unless it was set up to.
const MOST_IN_FRONT: u16 = 64;

/// Who will look at the queue next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Attention {
    /// The connection's task: it runs, has been woken, or has not begun.
    #[default]
    Task,
    /// The connection's task, when the socket can be written to again.
    Socket,
    /// A flusher: the session is on its list.
    Flusher,
    /// Nobody, for there is nothing to do.
    Nobody,
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

    /// Appends the bytes of a frame that is this many messages, unless the queue is full: then the policy decides.
    /// `session` is whose outbox this is.
    pub(crate) fn push(&self, bytes: Bytes, messages: usize, config: &Config, session: &Session) -> Outcome {
        let state = self.lock();
        match state.life {
            Life::Open => self.append(state, bytes, messages, config, session),
            Life::Closing(..) | Life::Ended => Outcome::Gone,
        }
    }

    /// The same for the reply to a message, which a session takes that is ending, if the message came before the end.
    /// For the connection's own task, which flushes afterwards.
    pub(crate) fn reply(&self, bytes: Bytes, messages: usize, config: &Config, session: &Session) -> Outcome {
        let mut state = self.lock();
        match state.life {
            Life::Open => self.append(state, bytes, messages, config, session),
            Life::Closing(_, Replies::Taken) if !state.is_full_for(bytes.len(), messages, config) => {
                state.queue.push(bytes, messages);
                Outcome::Accepted
            }
            Life::Closing(..) | Life::Ended => Outcome::Gone,
        }
    }

    // In each of its two callers: a call would cost a broadcast more than what it does for each session.
    #[inline(always)]
    fn append(
        &self,
        mut state: MutexGuard<'_, State>,
        bytes: Bytes,
        messages: usize,
        config: &Config,
        session: &Session,
    ) -> Outcome {
        let mut outcome = Outcome::Accepted;
        // To a socket, to take nothing is an error.
        if bytes.is_empty() {
            return outcome;
        }
        if state.is_full_for(bytes.len(), messages, config) {
            outcome = self.squeeze(&mut state, bytes.len(), messages, config);
            if matches!(outcome, Outcome::Slow | Outcome::Dropped(_)) {
                return outcome;
            }
        }
        state.queue.push(bytes, messages);
        self.paused.store(state.is_filling(config), Ordering::Relaxed);
        if state.attention == Attention::Socket {
            session.hub().metrics().behind(state.queue.messages(), state.queue.bytes(), config);
        }
        if state.attention == Attention::Nobody {
            if let Some(home) = state.home {
                state.attention = Attention::Flusher;
                drop(state);
                flusher::note(session, home);
            } else {
                wake(state.call_task());
            }
        }
        outcome
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
                if kept_bytes > 0
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
            state.queue.push(websocket::close(closed.code, &closed.reason), 0);
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

    /// A pong has come.
    pub(crate) fn answered(&self) {
        self.probed.store(false, Ordering::Relaxed);
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

    /// The connection's task is awake, and will flush before it sleeps. Returns whether a socket that was full has taken
    /// more since, which is a sign of life.
    pub(crate) fn attend(&self, cx: &mut Context<'_>, stream: Stream<'_>) -> bool {
        let mut state = self.lock();
        state.attention = Attention::Task;
        state.full && {
            let before = state.taken;
            // The task meets the same error again when it flushes.
            let _ = state.poll_flush(cx, stream);
            state.taken != before
        }
    }

    /// Whether the socket takes no more.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().full
    }

    /// Whether a full bare TCP socket takes more of what waits, though it has not said that it would: the kernel says so
    /// only when a third of its buffer is free, which takes a slow reader long.
    pub(crate) fn press(&self) -> bool {
        let mut state = self.lock();
        let Some(socket) = state.socket.as_ref().filter(|_| state.full) else { return false };
        let taken = state.queue.with_slices(|slices| SockRef::from(socket).send_vectored(slices));
        taken.is_ok_and(|taken| state.queue_took(taken).is_ok())
    }

    /// Whether the peer has hung up, as far as a bare TCP socket shows that without being read.
    pub(crate) fn is_hung_up(&self) -> bool {
        let state = self.lock();
        let ready = state.socket.as_ref().and_then(|socket| socket.ready(Interest::READABLE).now_or_never());
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
    }

    /// How many bytes the socket has taken, in units of 64 KiB. Wraps.
    pub(crate) fn taken(&self) -> u16 {
        self.lock().taken_units()
    }

    /// How much may stand in the system's buffers in front of what is sent now, in units of 64 KiB, if the peer is known
    /// to have read what the socket had taken at `confirmed`. 0 for a full socket, whose headway is seen by itself.
    pub(crate) fn in_front(&self, confirmed: u16) -> u16 {
        let state = self.lock();
        if state.full {
            return 0;
        }
        let room = state.socket.as_ref().and_then(|socket| SockRef::from(socket).send_buffer_size().ok());
        let room = room.map_or(MOST_IN_FRONT, |bytes| u16::try_from(bytes >> 16).unwrap_or(MOST_IN_FRONT));
        state.taken_units().wrapping_sub(confirmed).min(room).min(MOST_IN_FRONT)
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
        state.attention = if flushed.is_pending() { Attention::Socket } else { Attention::Nobody };
        self.wrote(&state);
        flushed.map_ok(|()| None)
    }

    /// Reads what a bare TCP socket has, at most as much as `into` takes. 0 is the end. For the connection's
    /// own task; a sender waits as long as one that writes waits for another.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        match &mut self.lock().socket {
            Some(socket) => ready!(Pin::new(socket).poll_read(cx, &mut buffer))?,
            None => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Says to a bare TCP socket that nothing more will be written.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().socket {
            Some(socket) => Pin::new(socket).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
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

    fn begin_end(&self, state: &mut State, closed: Closed, replies: Replies) {
        state.life = Life::Closing(Box::new(closed), replies);
        self.paused.store(true, Ordering::Relaxed);
        wake(state.call_task());
    }

    /// Something may have left the queue.
    fn wrote(&self, state: &State) {
        if state.queue.is_empty() && matches!(state.life, Life::Open) {
            self.paused.store(false, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing side of a socket that is not bare TCP.
pub(crate) type Stream<'a> = Option<Pin<&'a mut (dyn AsyncWrite + Unpin)>>;

impl State {
    fn is_full_for(&self, bytes: usize, messages: usize, config: &Config) -> bool {
        // A frame alone is always taken, however large it is.
        !self.queue.is_empty()
            && (self.queue.messages() + messages > config.queue_messages
                || self.queue.bytes() + bytes > config.queue_bytes)
    }

    fn is_filling(&self, config: &Config) -> bool {
        self.queue.messages() > config.queue_messages / 2 || self.queue.bytes() > config.queue_bytes / 2
    }

    fn interject(&mut self, frame: Bytes) {
        if matches!(self.life, Life::Open) {
            self.queue.interject(frame);
        }
    }

    /// The task's waker, unless the task looks by itself.
    fn call_task(&mut self) -> Option<Waker> {
        match mem::replace(&mut self.attention, Attention::Task) {
            Attention::Task => None,
            Attention::Socket | Attention::Flusher | Attention::Nobody => self.task.clone(),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, stream: Stream<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_write_out(cx, stream);
        self.full = flushed.is_pending();
        flushed
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>, stream: Stream<'_>) -> Poll<io::Result<()>> {
        if let Some(mut stream) = stream {
            let vectored = stream.is_write_vectored();
            while !self.queue.is_empty() {
                let written = self.queue.with_slices(|slices| match slices {
                    [slice, ..] if !vectored => stream.as_mut().poll_write(cx, slice),
                    slices => stream.as_mut().poll_write_vectored(cx, slices),
                });
                self.queue_took(ready!(written)?)?;
            }
            return stream.poll_flush(cx);
        }
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match &self.socket {
                    Some(socket) => ready!(socket.poll_write_ready(cx))?,
                    None => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                },
                flushed => return Poll::Ready(flushed),
            }
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() {
            let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
            let written = self.queue.with_slices(|slices| match slices {
                [slice] => socket.try_write(slice),
                slices => socket.try_write_vectored(slices),
            });
            self.queue_took(written?)?;
        }
        Ok(())
    }

    fn queue_took(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.taken = self.taken.wrapping_add(written as u32);
        self.queue.advance(written);
        Ok(())
    }

    fn taken_units(&self) -> u16 {
        (self.taken >> 16) as u16
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

#[cfg(test)]
mod model;
