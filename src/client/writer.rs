//! Writes to the server while the connection is read, so that neither waits for the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::Message;
use super::dial::Socket;

pub(super) struct Writer {
    sink: SplitSink<Socket, Frame>,
    frames: VecDeque<Frame>,
    busy: bool,
    /// The time since which the socket has accepted no bytes.
    pub(super) stuck_since: Option<Instant>,
    /// The message in progress.
    pub(super) message: Option<Message>,
}

impl Writer {
    pub(super) fn new(sink: SplitSink<Socket, Frame>) -> Self {
        Self { sink, frames: VecDeque::new(), busy: false, stuck_since: None, message: None }
    }

    /// Queues a frame. The next message waits until the writer [is not busy](Self::is_busy).
    pub(super) fn push(&mut self, frame: Frame) {
        self.frames.push_back(frame);
        self.busy = true;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Records that the server has read bytes.
    pub(super) fn moved(&mut self) {
        if self.stuck_since.is_some() {
            self.stuck_since = Some(Instant::now());
        }
    }

    /// Writes all queued frames. Nothing is lost if the future is dropped.
    pub(super) async fn write(&mut self) -> Result<(), Error> {
        poll_fn(|cx| {
            let poll = self.poll_write(cx);
            if poll.is_pending() {
                self.stuck_since.get_or_insert_with(Instant::now);
            }
            poll
        })
        .await?;
        (self.busy, self.stuck_since, self.message) = (false, None, None);
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            ready!(self.sink.poll_ready_unpin(cx))?;
            match self.frames.pop_front() {
                Some(frame) => self.sink.start_send_unpin(frame)?,
                None => return self.sink.poll_flush_unpin(cx),
            }
        }
    }

    /// Answers the server's close frame.
    pub(super) async fn close(&mut self) {
        // An error does not matter, since the connection ends anyway.
        let _ = self.sink.close().await;
    }
}
