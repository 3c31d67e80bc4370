//! The socket's own work: bytes in, bytes out, and the time.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::calls::{Calls, Incoming};
use super::pulse::{Beat, Pulse, after};
use super::scratch;
use super::socket::Socket;
use crate::close::{Closed, ClosedBy};
use crate::config::Config;
use crate::outbox::{Outbox, Turn};
use crate::session::Session;
use crate::text::Text;
use crate::websocket::{CloseCode, Decoder, Event};

pub(super) struct Engine<'a> {
    socket: Socket,
    outbox: &'a Outbox,
    config: &'a Config,
    decoder: Decoder,
    /// Bytes that were read but not looked at, because the handler or the peer was not ready for more.
    unread: Vec<u8>,
    /// A message that came while the handler was at work on the one before. No more is read then.
    next: Option<Box<Incoming>>,
    pulse: Pulse,
    timer: Pin<Box<Sleep>>,
    /// When the credential ends.
    expires_at: Option<SystemTime>,
    goodbye: Goodbye,
}

/// How far the closing handshake is (RFC 6455, section 7.1.2).
#[derive(PartialEq, Eq)]
enum Goodbye {
    /// Our close frame may be on its way, the peer's has not come.
    Awaited,
    /// The peer will send nothing more that matters.
    Heard,
    /// And we have said that we will not either.
    Shut,
}

/// After so many reads in one poll other tasks have a turn.
const READS_PER_POLL: usize = 8;

/// What reading came to.
enum Progress {
    /// There may be more.
    More,
    /// The handler or the peer must do something first.
    Paused,
}

impl<'a> Engine<'a> {
    pub(super) fn new(socket: Socket, early: Vec<u8>, session: &'a Session) -> Self {
        let (config, expires_at) = (session.hub().config(), session.identity().expires_at());
        let decoder = Decoder::new(session.compresses());
        Self::with(socket, early, decoder, session.outbox(), config, expires_at)
    }

    /// The engine of a connection that need not have a session.
    pub(super) fn with(
        socket: Socket,
        early: Vec<u8>,
        decoder: Decoder,
        outbox: &'a Outbox,
        config: &'a Config,
        expires_at: Option<SystemTime>,
    ) -> Self {
        let now = Instant::now();
        let first = after(now, config.ping_interval.min(left(expires_at).unwrap_or(Duration::MAX)));
        Self {
            socket,
            outbox,
            config,
            decoder,
            unread: early,
            next: None,
            pulse: Pulse::new(now),
            timer: Box::pin(tokio::time::sleep_until(first)),
            expires_at,
            goodbye: Goodbye::Awaited,
        }
    }

    /// Reads, works and writes. Ready when the session is over: the close frame, if there is to be one,
    /// waits in the outbox then.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Poll<Closed> {
        let _turn = Turn::begin();
        self.outbox.attend();
        // Reading comes first: a sign of life that is there already counts, however late we are.
        if let Err(closed) = self.advance(cx, calls).and_then(|()| self.poll_time(cx, calls)) {
            self.outbox.close_now(closed);
        }
        // The replies to all that was read leave together. The first reason to end is the reason: the
        // application may have closed in the same moment.
        match ready!(self.outbox.poll_rest(cx, self.socket.stream())) {
            Ok(None) => Poll::Pending,
            Ok(Some(closed)) => Poll::Ready(closed),
            Err(_) => {
                self.outbox.close_now(Closed::lost());
                Poll::Ready(self.outbox.closing().unwrap_or_else(Closed::lost))
            }
        }
    }

    /// Goes on until somebody else must do something: the peer, the handler, or other tasks.
    fn advance(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Result<(), Closed> {
        for _ in 0..READS_PER_POLL {
            // Whoever does not take our answers gets no more of them.
            while calls.poll(cx).is_ready()
                && !self.is_congested(cx)?
                && let Some(next) = self.next.take()
            {
                calls.begin(*next);
            }
            if self.next.is_some() || self.is_congested(cx)? || self.read(cx, calls)?.is_pending() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Whether so much waits for the peer that its own messages must wait too.
    fn is_congested(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        Ok(self.outbox.is_filling(self.config)
            && self.flush(cx)?.is_pending()
            && self.outbox.is_filling(self.config))
    }

    /// Reads once and lets the handler work on what came.
    fn read(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Result<Poll<()>, Closed> {
        if !self.unread.is_empty() {
            let mut unread = mem::take(&mut self.unread);
            self.digest(cx, calls, &mut unread)?;
            return Ok(Poll::Ready(()));
        }
        scratch::with(|scratch| {
            let len = match self.socket.poll_read(cx, scratch) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(len)) if len > 0 => len,
                // An end without a close frame, in order or not.
                Poll::Ready(_) => return Err(Closed::lost()),
            };
            self.pulse.heard(Instant::now());
            self.digest(cx, calls, &mut scratch[..len])?;
            Ok(Poll::Ready(()))
        })
    }

    /// Works through the bytes of a read; what cannot be worked on now is kept.
    fn digest(
        &mut self,
        cx: &mut Context<'_>,
        calls: &mut Calls<'a>,
        mut input: &mut [u8],
    ) -> Result<(), Closed> {
        while let Progress::More = self.step(cx, calls, &mut input)? {}
        self.unread.extend_from_slice(input);
        Ok(())
    }

    fn step(
        &mut self,
        cx: &mut Context<'_>,
        calls: &mut Calls<'a>,
        input: &mut &mut [u8],
    ) -> Result<Progress, Closed> {
        if self.next.is_some() || self.is_congested(cx)? {
            return Ok(Progress::Paused);
        }
        let event = self.decoder.next(input, self.config.message_bytes);
        let event = event.map_err(|violation| {
            // After a violation the decoder is deaf: an answer to the close frame would not be heard.
            self.goodbye = Goodbye::Heard;
            Closed::by_server(violation.close_code(), violation.to_string())
        })?;
        let incoming = match event {
            None => return Ok(Progress::Paused),
            Some(Event::Text(text)) => Incoming::Text(Text::copied(text)),
            Some(Event::Binary(bytes)) => Incoming::Binary(Bytes::copy_from_slice(bytes)),
            Some(Event::Pong(_)) => return Ok(Progress::More),
            Some(Event::Ping(payload)) => {
                self.outbox.pong(payload);
                return Ok(Progress::More);
            }
            Some(Event::Close(frame)) => {
                self.goodbye = Goodbye::Heard;
                return Err(match frame {
                    Some(frame) => Closed::new(frame.code, frame.reason, ClosedBy::Peer),
                    None => Closed::new(CloseCode::NO_STATUS, "", ClosedBy::Peer),
                });
            }
        };
        if calls.is_idle() {
            calls.begin(incoming);
            // Most calls are done at once, and the next message follows in the same read.
            let _ = calls.poll(cx);
        } else {
            self.next = Some(Box::new(incoming));
        }
        Ok(Progress::More)
    }

    /// Ends the session when its time is up, and sets the timer to when that may next be.
    fn poll_time(&mut self, cx: &mut Context<'_>, calls: &Calls<'a>) -> Result<(), Closed> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            // While the handler keeps us from reading, silence is not the peer's.
            if self.next.is_some() && !calls.is_idle() {
                self.pulse.heard(now);
            }
            let beat = match self.pulse.check(now, self.config) {
                Beat::Ping => {
                    self.outbox.ping();
                    // The answer begins the next silence, and it may be over before this pong were due.
                    after(now, self.config.pong_timeout.min(self.config.ping_interval))
                }
                Beat::Dead => return Err(Closed::by_server(CloseCode::NO_PONG, "no sign of life")),
                Beat::Wait(due) => due,
            };
            let due = match left(self.expires_at) {
                Some(Duration::ZERO) => {
                    return Err(Closed::by_server(CloseCode::EXPIRED, "credential expired"));
                }
                Some(time) => beat.min(after(now, time)),
                None => beat,
            };
            self.timer.as_mut().reset(due);
        }
        Ok(())
    }

    /// Brings the close frame to the peer and waits for its answer, but not for long.
    pub(super) async fn finish(&mut self) {
        self.timer.as_mut().reset(after(Instant::now(), self.config.close_timeout));
        poll_fn(|cx| {
            if self.timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // Whether it ends well or badly, it ends.
            self.poll_goodbye(cx).map(drop)
        })
        .await;
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_flush(cx)?.is_ready();
        let mut unread = mem::take(&mut self.unread);
        self.skim(&mut unread);
        // A connection that is closed with bytes unread is reset, and the reset overtakes the close frame. So
        // what still comes is read, and ignored.
        for _ in 0..READS_PER_POLL {
            if flushed && self.goodbye == Goodbye::Heard {
                ready!(self.socket.poll_shutdown(cx, self.outbox))?;
                self.goodbye = Goodbye::Shut;
            }
            let len = scratch::with(|scratch| {
                let len = ready!(self.socket.poll_read(cx, scratch))?;
                self.skim(&mut scratch[..len]);
                Poll::Ready(io::Result::Ok(len))
            });
            if ready!(len)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks for the peer's close frame and for nothing else.
    fn skim(&mut self, mut input: &mut [u8]) {
        while self.goodbye == Goodbye::Awaited {
            match self.decoder.next(&mut input, self.config.message_bytes) {
                Ok(None) => return,
                Ok(Some(Event::Close(_))) | Err(_) => self.goodbye = Goodbye::Heard,
                Ok(Some(_)) => {}
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Closed> {
        match self.poll_flush(cx) {
            Poll::Ready(Err(_)) => Err(Closed::lost()),
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.poll_flush(cx, self.socket.stream())
    }
}

/// How long a credential still lasts, if it ends at all.
fn left(expires_at: Option<SystemTime>) -> Option<Duration> {
    Some(expires_at?.duration_since(SystemTime::now()).unwrap_or_default())
}
