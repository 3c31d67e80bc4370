//! The socket's own work: bytes in, bytes out, and the time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::Wire;
use super::calls::{Calls, Incoming};
use super::pulse::{Beat, Pace, Pulse};
use super::scratch;
use super::socket::Socket;
use super::tick::Tick;
use crate::close::{Closed, ClosedBy};
use crate::config::{Config, SlowPolicy};
use crate::moment::after;
use crate::outbox::{Outbox, Turn};
use crate::session::Session;
use crate::text::Text;
use crate::websocket::{CloseCode, Decoder, Event};

pub(super) struct Engine<'a> {
    socket: Socket,
    outbox: &'a Outbox,
    config: &'a Config,
    decoder: Decoder,
    /// What was read too early: the handler or the peer was not ready for more.
    backlog: Option<Box<Backlog>>,
    pulse: Pulse,
    timer: Pin<Box<Sleep>>,
    goodbye: Goodbye,
    /// By when the first message is due, if it must come and has not.
    first_due: Option<Tick>,
}

#[derive(Default)]
struct Backlog {
    /// A message that came while the handler was at work on the one before. No more is read then.
    next: Option<Incoming>,
    /// Bytes that were not looked at.
    unread: Vec<u8>,
}

/// How far the closing handshake is (RFC 6455, section 7.1.2).
#[derive(PartialEq, Eq)]
enum Goodbye {
    /// The peer's close frame has not come.
    Awaited,
    /// It has come, and nothing after it matters.
    Heard,
    /// The peer has broken the protocol, so nothing that it sends matters, but it may go on sending.
    Refused,
    /// We have said that we will send nothing more either.
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
    pub(super) fn new(wire: Wire, session: &'a Session) -> Self {
        let decoder = Decoder::new(session.compresses());
        let mut engine = Self::with(wire, decoder, session.outbox(), session.hub().config());
        if let Some(time) = left(session) {
            engine.look_at(after(Instant::now(), time));
        }
        if let Some(time) = engine.config.first_message_timeout {
            let now = Instant::now();
            engine.first_due = Tick::after(now, time);
            engine.look_at(after(now, time));
        }
        engine
    }

    /// The engine of a connection that need not have a session.
    pub(super) fn with(
        Wire { socket, early }: Wire,
        decoder: Decoder,
        outbox: &'a Outbox,
        config: &'a Config,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            outbox,
            config,
            decoder,
            backlog: Backlog::of(early),
            pulse: Pulse::new(now),
            timer: Box::pin(tokio::time::sleep_until(after(now, config.ping_interval))),
            goodbye: Goodbye::Awaited,
            first_due: None,
        }
    }

    /// Sets the timer to this moment, if it is not set to an earlier one.
    fn look_at(&mut self, moment: Instant) {
        if moment < self.timer.deadline() {
            self.timer.as_mut().reset(moment);
        }
    }

    /// Reads, works and writes. Ready when the session is over. The close frame, if there is to be one, is
    /// left to [`Engine::finish`]: the session leaves the store first.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Poll<Closed> {
        let _turn = Turn::begin();
        self.outbox.attend();
        // Reading comes first: a sign of life that is there already counts, however late we are.
        match self.advance(cx, calls) {
            Ok(()) => {
                if let Err(closed) = self.poll_time(cx, calls) {
                    self.outbox.close_now(closed);
                }
            }
            // What the peer sent before its close frame or its mistake was in order, and so are the answers.
            Err(closed) => {
                self.outbox.close(closed);
            }
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
                && self.is_ahead()
                && !self.is_congested(cx)?
                && let Some(next) = self.backlog.as_mut().and_then(|backlog| backlog.next.take())
            {
                calls.begin(next);
            }
            if self.is_ahead() || self.is_congested(cx)? || self.read(cx, calls)?.is_pending() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Whether a message has been read for which the handler has no time yet.
    fn is_ahead(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.next.is_some())
    }

    /// Whether so much waits for the peer that its own messages must wait too, or the session is ending. Where
    /// messages are dropped in place of the session, the queue may never be empty again, and the peer is read from.
    #[inline]
    fn is_congested(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        // It is asked before every message, and hardly ever so.
        if self.outbox.is_paused() { self.stays_congested(cx) } else { Ok(false) }
    }

    #[cold]
    fn stays_congested(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        let _ = self.flush(cx)?;
        Ok(self.outbox.is_paused()
            && (self.config.slow_readers == SlowPolicy::Close || !self.outbox.is_open()))
    }

    /// Reads once and lets the handler work on what came.
    fn read(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Result<Poll<()>, Closed> {
        if let Some(mut backlog) = self.backlog.take()
            && !backlog.unread.is_empty()
        {
            self.digest(cx, calls, &mut backlog.unread)?;
            return Ok(Poll::Ready(()));
        }
        scratch::with(|scratch| {
            let len = match self.socket.poll_read(cx, self.outbox, scratch) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(len)) if len > 0 => len,
                // An end without a close frame, in order or not.
                Poll::Ready(_) => return Err(Closed::lost()),
            };
            self.pulse.heard(Instant::now());
            calls.session().hub().metrics().read(len);
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
        if !input.is_empty() {
            self.backlog.get_or_insert_default().unread.extend_from_slice(input);
        }
        Ok(())
    }

    fn step(
        &mut self,
        cx: &mut Context<'_>,
        calls: &mut Calls<'a>,
        input: &mut &mut [u8],
    ) -> Result<Progress, Closed> {
        if self.is_ahead() || self.is_congested(cx)? {
            return Ok(Progress::Paused);
        }
        let event = self.decoder.next(input, self.config.message_bytes);
        let event = event.map_err(|violation| {
            // After a violation the decoder is deaf: an answer to the close frame would not be heard.
            self.goodbye = Goodbye::Refused;
            Closed::by_server(violation.close_code(), violation.to_string())
        })?;
        let Some(event) = event else { return Ok(Progress::Paused) };
        let pace = match event {
            Event::Text(_) | Event::Binary(_) | Event::Ping(_) => self.pulse.count(self.config.message_rate),
            Event::Pong(_) => self.pulse.count_pong(self.config.message_rate),
            Event::Close(_) => Pace::Good,
        };
        if pace == Pace::Flood {
            return Err(Closed::by_server(CloseCode::TOO_MANY_MESSAGES, "too many messages"));
        }
        let incoming = match event {
            Event::Text(text) if pace == Pace::Hasty => {
                self.first_due = None;
                calls.refuse(Some(text));
                return Ok(Progress::More);
            }
            Event::Binary(_) if pace == Pace::Hasty => {
                self.first_due = None;
                calls.refuse(None);
                return Ok(Progress::More);
            }
            Event::Text(text) => Incoming::Text(Text::from(text)),
            Event::Binary(bytes) => Incoming::Binary(Bytes::copy_from_slice(bytes)),
            Event::Pong(_) => {
                calls.session().answered();
                return Ok(Progress::More);
            }
            Event::Ping(payload) => {
                self.outbox.pong(payload);
                return Ok(Progress::More);
            }
            Event::Close(frame) => {
                self.goodbye = Goodbye::Heard;
                return Err(match frame {
                    Some(frame) => Closed::new(frame.code, frame.reason, ClosedBy::Peer),
                    None => Closed::new(CloseCode::NO_STATUS, "", ClosedBy::Peer),
                });
            }
        };
        calls.session().hub().metrics().received();
        self.first_due = None;
        if calls.is_idle() {
            calls.begin(incoming);
            // Most calls are done at once, and the next message follows in the same read.
            let _ = calls.poll(cx);
        } else {
            self.backlog.get_or_insert_default().next = Some(incoming);
        }
        Ok(Progress::More)
    }

    /// Ends the session when its time is up, and sets the timer to when that may next be.
    fn poll_time(&mut self, cx: &mut Context<'_>, calls: &mut Calls<'a>) -> Result<(), Closed> {
        // Most calls are done by now, and cost no look at the clock.
        if let Some(due) = calls.limit(self.config.handler_timeout) {
            self.look_at(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            // While the handler keeps us from reading, silence is not the peer's.
            if self.is_ahead() && !calls.is_idle() {
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
            let expiry = left(calls.session());
            if expiry == Some(Duration::ZERO) {
                return Err(Closed::by_server(CloseCode::EXPIRED, "credential expired"));
            }
            let first = self.first_due.map(|due| due.left(now));
            if first == Some(Duration::ZERO) {
                return Err(Closed::by_server(CloseCode::NO_PONG, "no message in time"));
            }
            let mut call = calls.due().map(|due| due.left(now));
            if call == Some(Duration::ZERO) {
                calls.give_up();
                // To tell the handler, and to go on.
                cx.waker().wake_by_ref();
                call = None;
            }
            let dues = [expiry, first, call].into_iter().flatten().map(|time| after(now, time));
            self.timer.as_mut().reset(dues.fold(beat, Instant::min));
        }
        Ok(())
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
        if let Some(mut backlog) = self.backlog.take() {
            self.skim(&mut backlog.unread);
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
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks for the peer's close frame and for nothing else.
    fn skim(&mut self, mut input: &mut [u8]) {
        while self.goodbye == Goodbye::Awaited {
            match self.decoder.next(&mut input, self.config.message_bytes) {
                Ok(None) => return,
                Ok(Some(Event::Close(_))) => self.goodbye = Goodbye::Heard,
                Err(_) => self.goodbye = Goodbye::Refused,
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

impl Backlog {
    fn of(unread: Vec<u8>) -> Option<Box<Self>> {
        (!unread.is_empty()).then(|| Box::new(Self { next: None, unread }))
    }
}

/// How long the session's credential still lasts, if it ends at all.
fn left(session: &Session) -> Option<Duration> {
    let expires_at = session.expires_at()?;
    Some(expires_at.duration_since(SystemTime::now()).unwrap_or_default())
}
