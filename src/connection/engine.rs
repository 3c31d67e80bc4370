//! The socket's own work: bytes in, bytes out, and the time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::Wire;
use super::backlog::Backlog;
use super::calls::{Calls, Incoming};
use super::pulse::{Beat, Pulse};
use super::scratch;
use super::socket::Socket;
use super::tick::Tick;
use super::yield_turn::yield_turn;
use crate::close::{Closed, ClosedBy};
use crate::config::{Config, SlowPolicy};
use crate::limits::Verdict;
use crate::moment::after;
use crate::outbox::{Outbox, Turn};
use crate::session::Session;
use crate::text::Text;
use crate::websocket::{CloseCode, Decoder, Event};

pub(super) struct Engine<'a> {
    pub(super) socket: Socket,
    pub(super) outbox: &'a Outbox,
    pub(super) config: &'a Config,
    pub(super) decoder: Decoder,
    /// What was read too early: the handler or the peer was not ready for more.
    pub(super) backlog: Option<Box<Backlog>>,
    pulse: Pulse,
    pub(super) timer: Pin<Box<Sleep>>,
    pub(super) goodbye: Goodbye,
    /// By when the first message is due, if it must come and has not.
    first_due: Option<Tick>,
}

/// How far the closing handshake is (RFC 6455, section 7.1.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// The peer's close frame has not come.
    Awaited,
    /// It has come, or the connection has ended without one. Nothing after it matters.
    Heard,
    /// The peer has broken the protocol, so nothing that it sends matters, but it may go on sending.
    Refused,
    /// We have said that we will send nothing more either.
    Shut,
}

/// After this many reads in one poll other tasks have a turn.
pub(super) const READS_PER_POLL: usize = 8;

/// After messages of this weight in one poll other tasks have a turn: some hundred microseconds of unmasking, inflating,
/// parsing and compressing the replies.
const WORK_PER_POLL: usize = 64 * 1024;

/// The least that a message weighs.
const LEAST_WORK: usize = 2 * 1024;

/// What one poll has at hand.
struct Round<'p, 'c, 'a> {
    cx: &'p mut Context<'c>,
    calls: &'p mut Calls<'a>,
    /// How much work is left to do before others have their turn.
    work: usize,
}

/// What reading came to.
enum Progress {
    /// There may be more.
    More,
    /// All is looked at, or the handler, the peer or other tasks must do something first.
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
        if self.outbox.attend(cx, self.socket.stream()) {
            self.pulse.heard(Instant::now());
        }
        // Reading comes first: a sign of life that is there already counts, however late we are.
        match self.advance(&mut Round { cx, calls, work: WORK_PER_POLL }) {
            Ok(()) => {
                match self.poll_time(cx, calls) {
                    Ok(()) => {}
                    // That the peer has hung up was only found by the timer: what it sent before was in order.
                    Err(closed) if closed.by == ClosedBy::Network => _ = self.outbox.close(closed),
                    Err(closed) => self.outbox.close_now(closed),
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

    /// Goes on until the peer, the handler or other tasks must do something.
    fn advance(&mut self, round: &mut Round<'_, '_, 'a>) -> Result<(), Closed> {
        for _ in 0..READS_PER_POLL {
            // A peer that does not take our answers gets no more of them.
            while round.calls.poll(round.cx).is_ready()
                && self.has_messages()
                && round.work > 0
                && !self.is_congested(round.cx)?
                && let Some(next) = self.backlog.as_mut().and_then(|backlog| backlog.pop())
            {
                round.begin(next);
            }
            if round.work == 0 {
                break;
            }
            if !self.is_listening() || self.read(round)?.is_pending() {
                return Ok(());
            }
        }
        yield_turn(round.cx);
        Ok(())
    }

    /// Whether messages were read that the handler has had no time for.
    pub(super) fn has_messages(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.has_messages())
    }

    /// Whether the peer is read from: what it sends too early is kept, but not without end.
    fn is_listening(&self) -> bool {
        self.backlog.as_ref().is_none_or(|backlog| !backlog.is_full())
    }

    /// Whether so much waits for the peer that its own messages must wait too, or the session is ending. Where
    /// messages are dropped in place of the session, the queue may never be empty again, and messages are handled.
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
    fn read(&mut self, round: &mut Round<'_, '_, 'a>) -> Result<Poll<()>, Closed> {
        if let Some(backlog) = &mut self.backlog
            && let Some((mut unread, start)) = backlog.take_unread()
        {
            let left = self.digest(round, &mut unread[start..])?;
            self.backlog.get_or_insert_default().put_back(unread, left);
            return Ok(Poll::Ready(()));
        }
        self.backlog.take_if(|backlog| backlog.is_empty());
        scratch::with(|scratch| {
            let len = match self.socket.poll_read(round.cx, self.outbox, scratch) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(len)) if len > 0 => len,
                // An end without a close frame, in order or not.
                Poll::Ready(_) => return Err(self.lost()),
            };
            self.pulse.heard(Instant::now());
            round.calls.session().hub().metrics().read(len);
            let left = self.digest(round, &mut scratch[..len])?;
            if left > 0 {
                self.backlog.get_or_insert_default().put_back(scratch[len - left..len].to_vec(), left);
            }
            Ok(Poll::Ready(()))
        })
    }

    fn lost(&mut self) -> Closed {
        self.goodbye = Goodbye::Heard;
        Closed::lost()
    }

    /// Works through the bytes of a read. Returns how many of them were not looked at.
    fn digest(&mut self, round: &mut Round<'_, '_, 'a>, mut input: &mut [u8]) -> Result<usize, Closed> {
        while let Progress::More = self.step(round, &mut input)? {}
        Ok(input.len())
    }

    fn step(&mut self, round: &mut Round<'_, '_, 'a>, input: &mut &mut [u8]) -> Result<Progress, Closed> {
        if round.work == 0 || !self.is_listening() {
            return Ok(Progress::Paused);
        }
        let event = self.decoder.next(input, self.config.message_bytes);
        let event = event.map_err(|violation| {
            // After a violation the decoder is deaf: an answer to the close frame would not be heard.
            self.goodbye = Goodbye::Refused;
            Closed::by_server(violation.close_code(), violation.to_string())
        })?;
        let Some(event) = event else { return Ok(Progress::Paused) };
        let verdict = match event {
            Event::Text(_) | Event::Binary(_) | Event::Ping(_) => {
                self.pulse.count(self.config.message_rate, round.price(event.len()))
            }
            Event::Pong(_) => self.pulse.count_pong(self.config.message_rate),
            Event::Close(_) => Verdict::Allowed,
        };
        if verdict == Verdict::Flood {
            return Err(Closed::by_server(CloseCode::TOO_MANY_MESSAGES, "too many messages"));
        }
        round.spend(event.len());
        let incoming = match event {
            Event::Text(text) if verdict == Verdict::Limited => {
                self.first_due = None;
                round.calls.refuse(Some(text));
                return Ok(Progress::More);
            }
            Event::Binary(_) if verdict == Verdict::Limited => {
                self.first_due = None;
                round.calls.refuse(None);
                return Ok(Progress::More);
            }
            Event::Text(text) => Incoming::Text(Text::from(text)),
            Event::Binary(bytes) => Incoming::Binary(Bytes::copy_from_slice(bytes)),
            Event::Pong(_) => {
                self.pulse.confirm(self.outbox.taken());
                round.calls.session().answered();
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
        round.calls.session().hub().metrics().received();
        self.first_due = None;
        let is_congested = self.is_congested(round.cx)?;
        if round.calls.is_idle() && !is_congested && !self.has_messages() {
            round.calls.begin(incoming);
            // Most calls are done at once, and the next message follows in the same read.
            let _ = round.calls.poll(round.cx);
        } else if is_congested || !round.calls.answer_ping(&incoming) {
            self.backlog.get_or_insert_default().push(incoming);
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
            let beat = self.beat(cx, now)?;
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

    /// Looks for signs of life, and pings. Returns when to do that next.
    fn beat(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Instant, Closed> {
        if self.outbox.press() {
            self.pulse.heard(now);
            // There may be room for replies now, without a word of the socket's.
            yield_turn(cx);
        }
        let is_listening = self.is_listening();
        if !is_listening && self.outbox.is_hung_up() {
            return Err(self.lost());
        }
        // Silence is not the peer's while the handler keeps us from reading. Pings go on: the system answers them with an
        // error when the peer is gone.
        let is_heard = is_listening || self.outbox.is_full();
        let in_front = self.pulse.unconfirmed().map_or(0, |confirmed| self.outbox.in_front(confirmed));
        match self.pulse.check(now, in_front, is_heard, self.config) {
            Beat::Ping => {
                self.outbox.ping();
                // The answer begins the next silence, and it may be over before this pong were due.
                Ok(after(now, self.config.pong_timeout.min(self.config.ping_interval)))
            }
            Beat::Dead => Err(Closed::by_server(CloseCode::NO_PONG, "no sign of life")),
            Beat::Wait(due) => Ok(due),
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Closed> {
        match self.poll_flush(cx) {
            Poll::Ready(Err(_)) => Err(self.lost()),
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.outbox.poll_flush(cx, self.socket.stream())
    }
}

impl Round<'_, '_, '_> {
    fn begin(&mut self, message: Incoming) {
        self.spend(message.len());
        self.calls.begin(message);
    }

    /// As how many messages one of this length counts. Where messages may be compressed, a client pays for few bytes what
    /// costs the server many, so each KiB counts.
    fn price(&self, len: usize) -> u32 {
        if self.calls.session().compresses() {
            1 + u32::try_from(len / 1024).unwrap_or(u32::MAX - 1)
        } else {
            1
        }
    }

    /// A message of this length was worked on. Where replies are compressed that costs as much again.
    fn spend(&mut self, len: usize) {
        let work = if self.calls.session().compresses() { 2 * len } else { len };
        self.work = self.work.saturating_sub(work.max(LEAST_WORK));
    }
}

/// How long the session's credential still lasts, if it ends at all.
fn left(session: &Session) -> Option<Duration> {
    let expires_at = session.expires_at()?;
    Some(expires_at.duration_since(SystemTime::now()).unwrap_or_default())
}
