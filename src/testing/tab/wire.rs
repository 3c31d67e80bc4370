//! The two ends of a connection in memory. The page's end does what a browser does by itself: it answers pings and close frames, at
//! the moment at which the server writes them. So a tab needs no task of its own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::close::{Closed, ClosedBy};
use crate::session::SentFrame;
use crate::websocket::{self, CloseCode, OpCode};

/// The page's end.
pub(super) struct Page(Arc<Mutex<Wire>>);

/// The server's end.
pub(super) struct Server(Arc<Mutex<Wire>>);

#[derive(Default)]
struct Wire {
    to_server: BytesMut,
    /// The beginning of a frame of the server.
    partial: Vec<u8>,
    frames: VecDeque<SentFrame>,
    /// Whether the server has read before it has closed.
    is_read: bool,
    closed: Option<Closed>,
    /// The page has sent its close frame.
    is_closing: bool,
    /// The page answers nothing by itself.
    is_mute: bool,
    /// The page's end of the stream is closed.
    is_gone: bool,
    server: Option<Waker>,
    page: Option<Waker>,
}

pub(super) fn pair() -> (Page, Server) {
    let wire = Arc::<Mutex<Wire>>::default();
    (Page(wire.clone()), Server(wire))
}

impl Page {
    /// Whether the session has begun: it is in the store, and its handler's `opened` was called. A connection reads only then. One
    /// that is refused writes a close frame first.
    pub(super) async fn has_begun(&self) -> bool {
        poll_fn(|cx| {
            let mut wire = lock(&self.0);
            if wire.is_read || wire.closed.is_some() {
                return Poll::Ready(wire.is_read);
            }
            wire.page = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The next data frame of the server. `None`: the connection has ended.
    pub(super) async fn frame(&self) -> Option<SentFrame> {
        poll_fn(|cx| {
            let mut wire = lock(&self.0);
            match wire.frames.pop_front() {
                None if wire.closed.is_none() => {
                    wire.page = Some(cx.waker().clone());
                    Poll::Pending
                }
                frame => Poll::Ready(frame),
            }
        })
        .await
    }

    /// The end of the connection, if it has ended.
    pub(super) fn closed(&self) -> Option<Closed> {
        lock(&self.0).closed.clone()
    }

    pub(super) fn send(&self, opcode: OpCode, payload: &[u8]) {
        lock(&self.0).send(opcode, payload);
    }

    /// Begins the closing handshake.
    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        let mut wire = lock(&self.0);
        if !wire.is_closing && wire.closed.is_none() {
            let frame = websocket::close(code, reason);
            wire.send(OpCode::Close, &frame[2..]);
            wire.is_closing = true;
        }
    }

    pub(super) fn mute(&self) {
        lock(&self.0).is_mute = true;
    }

    /// Ends the stream, without a close frame.
    pub(super) fn hang_up(&self) {
        let mut wire = lock(&self.0);
        wire.is_gone = true;
        wake(&mut wire.server);
    }
}

impl Wire {
    fn send(&mut self, opcode: OpCode, payload: &[u8]) {
        self.to_server.extend_from_slice(&websocket::client_frame(opcode, payload));
        wake(&mut self.server);
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.partial);
        let mut unread = &received[..];
        while let Some((frame, payload)) = websocket::split_frame(&mut unread) {
            self.take(frame[0] & 0x0f, payload);
        }
        self.partial = unread.to_vec();
    }

    fn take(&mut self, opcode: u8, payload: &[u8]) {
        if opcode == OpCode::Text as u8 {
            let text = String::from_utf8_lossy(payload).into_owned();
            self.frames.push_back(SentFrame::Text(text.into()));
        } else if opcode == OpCode::Binary as u8 {
            self.frames.push_back(SentFrame::Binary(Bytes::copy_from_slice(payload)));
        } else if opcode == OpCode::Ping as u8 && !self.is_mute {
            self.send(OpCode::Pong, payload);
        } else if opcode == OpCode::Close as u8 {
            let (code, reason) = payload.split_first_chunk().unwrap_or((&[0, 0], &[]));
            let code = CloseCode::new(u16::from_be_bytes(*code)).unwrap_or(CloseCode::NO_STATUS);
            let by = if self.is_closing { ClosedBy::Peer } else { ClosedBy::Server };
            self.end(Closed::new(code, String::from_utf8_lossy(reason), by));
            if !self.is_closing && !self.is_mute {
                self.is_closing = true;
                self.send(OpCode::Close, payload);
            }
        }
        wake(&mut self.page);
    }

    fn end(&mut self, closed: Closed) {
        self.closed.get_or_insert(closed);
        wake(&mut self.page);
    }
}

impl AsyncRead for Server {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.0);
        if wire.closed.is_none() && !wire.is_read {
            wire.is_read = true;
            wake(&mut wire.page);
        }
        let len = wire.to_server.len().min(into.remaining());
        if len > 0 {
            into.put_slice(&wire.to_server.split_to(len));
        } else if !wire.is_gone {
            wire.server = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = lock(&self.0);
        if wire.is_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        wire.receive(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A browser ends the stream when the server does.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.0);
        wire.end(Closed::lost());
        wire.is_gone = true;
        wake(&mut wire.server);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        lock(&self.0).end(Closed::lost());
    }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
