//! The end of a connection: what came before it is answered, then the closing handshake (RFC 6455, section 7.1.2).

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::calls::Calls;
use super::engine::{Engine, Goodbye, READS_PER_POLL};
use super::scratch;
use super::yield_turn::yield_turn;
use crate::moment::after;
use crate::outbox::Turn;
use crate::websocket::Event;

/// As much as a control frame may bring (RFC 6455, section 5.5). What is larger is of no interest after the end.
const CONTROL_BYTES: usize = 125;

impl<'a> Engine<'a> {
    /// Whether there is anything left to do for [`Engine::settle`].
    pub(super) fn has_unfinished(&self, calls: &Calls<'a>) -> bool {
        !calls.is_idle() || self.has_messages()
    }

    /// Answers what came before the end, while the session has left the store already and the peer waits for the close
    /// frame, but not for long.
    pub(super) async fn settle(&mut self, calls: &mut Calls<'a>) {
        // What the application, the server or a timer has ended ends here: no further message is begun.
        let in_order = self.goodbye != Goodbye::Awaited;
        let mut deadline = Some(after(Instant::now(), self.config.close_timeout));
        poll_fn(|cx| {
            let _turn = Turn::begin();
            while calls.poll(cx).is_ready() {
                match self.backlog.as_mut().filter(|_| in_order).and_then(|backlog| backlog.pop()) {
                    Some(next) => calls.begin(next),
                    None => return Poll::Ready(()),
                }
            }
            // That the connection is lost is found again by whoever needs it.
            let _ = self.poll_flush(cx);
            if let Some(deadline) = deadline.take() {
                self.timer.as_mut().reset(deadline);
            }
            self.timer.as_mut().poll(cx)
        })
        .await;
    }

    /// How many messages came that are not handled any more.
    pub(super) fn unhandled(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.messages())
    }

    /// Brings the close frame to the peer and waits for its answer, but not for long.
    pub(super) async fn finish(&mut self) {
        self.outbox.say_goodbye();
        let mut deadline = Some(after(Instant::now(), self.config.close_timeout));
        poll_fn(|cx| {
            // Whether it ends well or badly, it ends.
            if self.poll_goodbye(cx).is_ready() {
                return Poll::Ready(());
            }
            // Most ends need no timer, and setting one wakes the runtime's driver.
            if let Some(deadline) = deadline.take() {
                self.timer.as_mut().reset(deadline);
            }
            self.timer.as_mut().poll(cx)
        })
        .await;
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_flush(cx)?.is_ready();
        if let Some((mut unread, start)) = self.backlog.take().and_then(|mut backlog| backlog.take_unread()) {
            self.skim(&mut unread[start..]);
        }
        // A connection that is closed with bytes unread is reset, and the reset overtakes the close frame. So
        // what still comes is read, and ignored.
        for _ in 0..READS_PER_POLL {
            if flushed && self.goodbye == Goodbye::Refused {
                ready!(self.socket.poll_shutdown(cx, self.outbox))?;
                self.goodbye = Goodbye::Shut;
            }
            let read = scratch::with(|scratch| {
                let len = ready!(self.socket.poll_read(cx, self.outbox, scratch))?;
                self.skim(&mut scratch[..len]);
                Poll::Ready(io::Result::Ok(len))
            });
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Both have said it, and nothing is unread: the server closes first (section 7.1.1).
                Poll::Pending if flushed && self.goodbye == Goodbye::Heard => {
                    return self.socket.poll_close(cx);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        yield_turn(cx);
        Poll::Pending
    }

    /// Looks for the peer's close frame and for nothing else. A message takes no memory: one that is larger than a control
    /// frame counts as a violation, after which nothing is kept.
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
