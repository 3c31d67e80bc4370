//! The end of a connection: replies to what came before it, then the closing handshake (RFC 6455, section 7.1.2).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::engine::{Engine, Goodbye, READS_PER_POLL};
use super::handler_call::HandlerCall;
use super::scratch;
use super::yield_turn::yield_turn;
use crate::deadline::after;
use crate::hub::Hub;
use crate::outbox::Turn;
use crate::websocket::Event;

/// The largest payload of a control frame (RFC 6455, section 5.5). Larger frames do not matter after the end.
const CONTROL_BYTES: usize = 125;

impl<'a> Engine<'a> {
    /// Whether [`Engine::settle`] has anything to do.
    pub(super) fn is_unsettled(&self, call: &HandlerCall<'a>) -> bool {
        !call.is_idle() || self.has_messages()
    }

    /// Answers what came before the end, within `Config::close_timeout`. The session has left the store already, and the client
    /// waits for the close frame.
    pub(super) async fn settle(&mut self, call: &mut HandlerCall<'a>) {
        // If the application, the server or a timeout ended the session, no further message is handled.
        let in_order = self.goodbye != Goodbye::Awaited;
        let mut timer = LazyTimeout::after(call.session().hub().config().close_timeout);
        poll_fn(|cx| {
            let _turn = Turn::begin();
            while call.poll(cx).is_ready() {
                match self.backlog.as_mut().filter(|_| in_order).and_then(|backlog| backlog.pop()) {
                    Some(next) => call.begin(next),
                    None => return Poll::Ready(()),
                }
            }
            // A later call finds a lost connection again.
            let _ = self.poll_flush(cx);
            timer.poll(cx)
        })
        .await;
    }

    /// Number of messages that are not handled any more.
    pub(super) fn unhandled(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.messages())
    }

    /// Sends the close frame and waits for the client's answer, within `Config::close_timeout` and until a shutdown cuts it.
    pub(super) async fn finish(&mut self, hub: &Hub) {
        self.outbox.say_goodbye();
        let mut timer = LazyTimeout::after(hub.config().close_timeout);
        let goodbye = poll_fn(|cx| {
            // An error is an end too.
            if self.poll_goodbye(cx).is_ready() {
                return Poll::Ready(true);
            }
            timer.poll(cx).map(|()| false)
        });
        if hub.drain().unless_cut(goodbye).await != Some(true) {
            // TLS has an end of its own, by which the client knows that nothing was cut off. It is sent if the socket takes it at once.
            let _ = poll_fn(|cx| Poll::Ready(self.socket.poll_close(cx))).await;
        }
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_flush(cx)?.is_ready();
        if let Some((mut unread, start)) = self.backlog.take().and_then(|mut backlog| backlog.take_unread()) {
            self.skim(&mut unread[start..]);
        }
        // Closing over unread bytes resets the connection, and the reset overtakes the close frame. So the rest is read and
        // ignored.
        for _ in 0..READS_PER_POLL {
            if flushed && self.goodbye == Goodbye::Refused {
                ready!(self.socket.poll_shutdown(cx, self.outbox))?;
                self.goodbye = Goodbye::Shut;
            }
            let read = scratch::with(|scratch| {
                let len = ready!(self.socket.poll_read(cx, self.outbox, scratch))?.len;
                self.skim(&mut scratch[..len]);
                Poll::Ready(io::Result::Ok(len))
            });
            match read {
                // A client that has stopped sending may still read, and TLS has an end of its own.
                Poll::Ready(Ok(0)) if flushed => return self.socket.poll_close(cx),
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Both close frames are sent, and nothing is unread: the server closes first (section 7.1.1).
                Poll::Pending if flushed && self.goodbye == Goodbye::Heard => {
                    return self.socket.poll_close(cx);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        yield_turn(cx);
        Poll::Pending
    }

    /// Looks only for the client's close frame. Messages take no memory: one that is larger than a control frame counts as a
    /// violation, after which nothing is decoded.
    fn skim(&mut self, mut input: &mut [u8]) {
        while self.goodbye == Goodbye::Awaited {
            match self.decoder.next(&mut input, CONTROL_BYTES) {
                Ok(None) => return,
                Ok(Some(Event::Close(_))) => self.goodbye = Goodbye::Heard,
                Err(_) => self.goodbye = Goodbye::Refused,
                Ok(Some(_)) => {}
            }
        }
    }
}

/// A timeout that sets a timer only when it is polled: most connections end at once.
struct LazyTimeout {
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl LazyTimeout {
    fn after(timeout: Duration) -> Self {
        Self { deadline: after(Instant::now(), timeout), timer: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.deadline))).as_mut().poll(cx)
    }
}
