//! What the outbox's lock guards: the queue, the socket, and who looks at them next.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::runtime;

use super::queue::Queue;
use crate::close::Closed;
use crate::limits::Config;

/// The writing side of a socket that is not bare TCP.
pub(crate) type Stream<'a> = Option<Pin<&'a mut (dyn AsyncWrite + Unpin)>>;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) life: Life,
    pub(super) attention: Attention,
    /// Whether the socket has taken no more when the task last wrote to it.
    pub(super) full: bool,
    /// How many bytes the socket has taken. Wraps.
    pub(super) taken: u32,
    /// The socket, where it is bare TCP, so that whoever sends can write. Else only the task has it.
    pub(super) socket: Option<TcpStream>,
    /// The runtime that turns the connection's task, and so will turn a flusher's.
    pub(super) home: Option<runtime::Id>,
    /// The task that owns the connection.
    pub(super) task: Option<Waker>,
}

#[derive(Debug, Default)]
pub(super) enum Life {
    #[default]
    Open,
    /// Nothing more is sent but replies. The close frame follows when the session has left the store.
    Closing(Box<Closed>, Replies),
    /// The close frame is in the queue, or the socket is gone.
    Ended,
}

/// Whether messages that came before an end are still answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replies {
    Taken,
    /// The peer would not read them, or must not.
    Dropped,
}

/// More than this many units of 64 KiB the system's buffers do not hold, unless it was set up to.
const MOST_IN_FRONT: u16 = 64;

/// Who will look at the queue next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attention {
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

impl State {
    pub(super) fn is_full_for(&self, bytes: usize, messages: usize, config: &Config) -> bool {
        // A message alone is always taken, however large it is, behind a ping or a pong too.
        self.queue.messages() > 0
            && (self.queue.messages() + messages > config.queue_messages
                || self.queue.bytes() + bytes > config.queue_bytes)
    }

    pub(super) fn is_filling(&self, config: &Config) -> bool {
        self.queue.messages() > config.queue_messages / 2 || self.queue.bytes() > config.queue_bytes / 2
    }

    /// [`Queue::gather`], while the task or a flusher is about to write, and half of the queue stays free.
    #[inline(always)]
    pub(super) fn gather(&mut self, frames: &[u8], messages: usize, config: &Config) -> bool {
        !self.queue.is_empty()
            && matches!(self.life, Life::Open)
            && matches!(self.attention, Attention::Task | Attention::Flusher)
            && self.queue.messages() + messages <= config.queue_messages / 2
            && self.queue.bytes() + frames.len() <= config.queue_bytes / 2
            && self.queue.gather(frames, messages)
    }

    pub(super) fn interject(&mut self, frame: Bytes) {
        if matches!(self.life, Life::Open) {
            self.queue.interject(frame);
        }
    }

    /// The task's waker, unless the task looks by itself.
    pub(super) fn call_task(&mut self) -> Option<Waker> {
        match mem::replace(&mut self.attention, Attention::Task) {
            Attention::Task => None,
            Attention::Socket | Attention::Flusher | Attention::Nobody => self.task.clone(),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, stream: Stream<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_write_out(cx, stream);
        self.full = flushed.is_pending();
        flushed
    }

    pub(super) fn poll_write_out(
        &mut self,
        cx: &mut Context<'_>,
        stream: Stream<'_>,
    ) -> Poll<io::Result<()>> {
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

    pub(super) fn try_flush(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() {
            let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
            let full = self.full;
            let written = self.queue.with_slices(|slices| match slices {
                _ if full => socket.try_write_vectored(slices),
                slices => write(socket, slices),
            });
            self.queue_took(written?)?;
        }
        Ok(())
    }

    pub(super) fn queue_took(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.taken = self.taken.wrapping_add(written as u32);
        self.queue.advance(written);
        Ok(())
    }

    pub(super) fn taken_units(&self) -> u16 {
        (self.taken >> 16) as u16
    }

    /// Whether a full bare TCP socket takes more of what waits, though it has not said that it would: the kernel says so
    /// only when a third of its buffer is free, which takes a slow reader long.
    pub(super) fn press(&mut self) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|_| self.full) else { return false };
        let taken = self.queue.with_slices(|slices| send(socket, slices));
        taken.is_ok_and(|taken| self.queue_took(taken).is_ok())
    }

    /// Whether the peer has hung up, as far as a bare TCP socket shows that without being read.
    pub(super) fn is_hung_up(&self) -> bool {
        let ready = self.socket.as_ref().and_then(|socket| socket.ready(Interest::READABLE).now_or_never());
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
    }

    /// How much may stand in the system's buffers in front of what is sent now, in units of 64 KiB, if the peer is known
    /// to have read what the socket had taken at `confirmed`. 0 for a full socket, whose headway is seen by itself.
    pub(super) fn in_front(&self, confirmed: u16) -> u16 {
        if self.full {
            return 0;
        }
        let room = self.socket.as_ref().and_then(|socket| SockRef::from(socket).send_buffer_size().ok());
        let room = room.map_or(MOST_IN_FRONT, |bytes| u16::try_from(bytes >> 16).unwrap_or(MOST_IN_FRONT));
        self.taken_units().wrapping_sub(confirmed).min(room).min(MOST_IN_FRONT)
    }
}

/// Writes past tokio's record of the socket, which is in a cache line of its own: to many sockets that is a miss for each. Only
/// tokio's own write notes that a socket is full, so it has the last word.
#[cfg(target_os = "linux")]
fn write(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match send(socket, slices) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.try_write_vectored(slices),
        written => written,
    }
}

#[cfg(not(target_os = "linux"))]
fn write(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    socket.try_write_vectored(slices)
}

/// Writes without asking tokio. No signal if the peer is gone: an application may have SIGPIPE at its default, which ends the process.
#[cfg(target_os = "linux")]
fn send(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let bare = SockRef::from(socket);
    match slices {
        [slice] => bare.send_with_flags(slice, libc::MSG_NOSIGNAL),
        slices => bare.send_vectored_with_flags(slices, libc::MSG_NOSIGNAL),
    }
}

#[cfg(not(target_os = "linux"))]
fn send(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    SockRef::from(socket).send_vectored(slices)
}
