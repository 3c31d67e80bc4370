//! The work of an open connection: bytes in, messages to the handler, bytes out.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::following::{DOUBT, Following};
use super::handler_call::{HandlerCall, Incoming};
use super::heartbeat::Heartbeat;
use super::own;
use super::scratch;
use super::socket::{Socket, UpgradedSocket};
use super::yield_turn::yield_turn;
use crate::close::{Closed, ClosedBy};
use crate::deadline::Deadline;
use crate::limits::Verdict;
use crate::limits::{Config, SlowPolicy};
use crate::outbox::{Outbox, Read, Turn};
use crate::session::Session;
use crate::text::Text;
use crate::websocket::{CloseCode, Decoder, Event};

/// It is boxed, and so small that glibc puts it into the gap that the alignment of a task leaves: up to 104 bytes.
pub(super) struct Engine<'a> {
    pub(super) socket: Socket,
    pub(super) outbox: &'a Outbox,
    pub(super) decoder: Decoder,
    /// What was read while the handler or the client was not ready for more.
    pub(super) backlog: Option<Box<Backlog>>,
    pub(super) heartbeat: Heartbeat,
    /// When the timeouts are looked at next. `None`: there is none.
    pub(super) due: Option<Deadline>,
    /// Whether the session's timer wakes the task then.
    pub(super) is_armed: bool,
    pub(super) goodbye: Goodbye,
    /// The deadline of the first message, until it comes.
    pub(super) first_deadline: Option<Deadline>,
    /// Reads the log of the key, if the session follows it.
    pub(super) following: Option<Box<Following<'a>>>,
}

/// The state of the closing handshake (RFC 6455, section 7.1.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// The client has not sent its close frame.
    Awaited,
    /// It has sent it, or the connection has ended without one. Nothing after it matters.
    Heard,
    /// The client has violated the protocol. Nothing that it sends matters, but it may go on sending.
    Refused,
    /// The server has shut down its side too.
    Shut,
}

/// Number of reads in one poll, after which other tasks have a turn.
pub(super) const READS_PER_POLL: usize = 8;

/// Weight of the messages in one poll, after which other tasks have a turn: some hundred microseconds of unmasking, inflating,
/// parsing and compressing the replies.
const WORK_PER_POLL: usize = 64 * 1024;

/// Least weight of a message.
const LEAST_WORK: usize = 2 * 1024;

/// The state of one poll.
struct Round<'p, 'c, 'a> {
    cx: &'p mut Context<'c>,
    call: &'p mut HandlerCall<'a>,
    /// The weight that is left before other tasks have a turn.
    work: usize,
    /// The moment of the last read.
    read_at: Option<Instant>,
}

/// The result of reading.
enum Progress {
    /// There may be more.
    More,
    /// All is read, or the handler, the client or other tasks must do something first.
    Paused,
}

impl<'a> Engine<'a> {
    pub(super) fn new(upgraded: UpgradedSocket, session: &'a Session) -> Box<Self> {
        let decoder = Decoder::new(session.compresses());
        let config = session.hub().config();
        let mut engine = Box::new(Self::with(upgraded, decoder, session.outbox(), config));
        if let Some(time) = session.time_to_expiry() {
            engine.wake_after(Instant::now(), time);
        }
        engine.following = Following::of(session);
        if engine.following.is_some() {
            engine.wake_after(Instant::now(), DOUBT);
        }
        if let Some(time) = config.first_message_timeout {
            let now = Instant::now();
            engine.first_deadline = Deadline::after(now, time);
            engine.wake_after(now, time);
        }
        engine
    }

    /// The engine of a connection with or without a session.
    pub(super) fn with(
        UpgradedSocket { socket, early }: UpgradedSocket,
        decoder: Decoder,
        outbox: &'a Outbox,
        config: &Config,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            outbox,
            decoder,
            backlog: Backlog::of(early),
            heartbeat: Heartbeat::new(now),
            due: config.ping_interval.map(|interval| Deadline::not_before(now, interval)),
            is_armed: false,
            goodbye: Goodbye::Awaited,
            first_deadline: None,
            following: None,
        }
    }

    /// Reads, handles and writes. Ready when the session is over. The close frame is left to [`Engine::finish`], since the
    /// session leaves the store first.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>, call: &mut HandlerCall<'a>) -> Poll<Closed> {
        let _turn = Turn::begin();
        let attended = self.outbox.attend(cx, self.socket.stream());
        if attended.progress {
            self.heartbeat.heard(Instant::now());
        }
        // Reads first, so that a sign of life that has arrived counts, however late this poll is.
        let mut round = Round { cx, call, work: WORK_PER_POLL, read_at: None };
        match self.advance(&mut round) {
            Ok(()) => {
                // A timer is armed for the task that polled it last.
                self.is_armed &= attended.same_task;
                let read_at = round.read_at;
                match self.poll_timer(cx, call, read_at) {
                    Ok(()) => {}
                    // Only the timer found the hang-up. What the client sent before it is answered.
                    Err(closed) if closed.by == ClosedBy::Network => _ = self.outbox.close(closed),
                    Err(closed) => self.outbox.close_now(closed),
                }
            }
            // What the client sent before its close frame or its violation is answered.
            Err(closed) => {
                self.outbox.close(closed);
            }
        }
        if let Some(following) = &mut self.following {
            following.poll(cx);
        }
        // The replies to all that was read leave together. The first reason to end counts: the application may have closed the
        // session in the same moment.
        let rest = self.outbox.poll_rest(cx, self.socket.stream());
        // After the last look: whoever is heard of from now on wakes this task.
        if self.following.as_ref().is_some_and(|following| following.is_due(rest.is_ready())) {
            yield_turn(cx);
        }
        match ready!(rest) {
            Ok(None) => Poll::Pending,
            Ok(Some(closed)) => Poll::Ready(closed),
            Err(_) => {
                self.outbox.close_now(Closed::lost());
                Poll::Ready(self.outbox.closing().unwrap_or_else(Closed::lost))
            }
        }
    }

    /// Runs until the client, the handler or other tasks must do something.
    fn advance(&mut self, round: &mut Round<'_, '_, 'a>) -> Result<(), Closed> {
        for _ in 0..READS_PER_POLL {
            // A client that does not read its replies gets no more of them.
            while round.call.poll(round.cx).is_ready()
                && self.has_messages()
                && round.work > 0
                && !self.is_congested(round)?
                && let Some(next) = self.backlog.as_mut().and_then(|backlog| backlog.pop())
            {
                round.begin(next);
            }
            if round.work == 0 {
                break;
            }
            if !self.is_listening(round.call.session()) || self.read(round)?.is_pending() {
                return Ok(());
            }
        }
        yield_turn(round.cx);
        Ok(())
    }

    /// Whether messages wait for the handler.
    pub(super) fn has_messages(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.has_messages())
    }

    /// Whether the server reads from the client: the backlog is bounded. It may be larger while an answer of the client is awaited,
    /// since the handler may be the one who waits.
    #[inline(always)]
    pub(super) fn is_listening(&self, session: &Session) -> bool {
        self.backlog.as_ref().is_none_or(|backlog| {
            !backlog.is_full() || backlog.has_room_before_answer() && session.awaits_answers()
        })
    }

    /// Whether the client's messages must wait, because too many replies are queued or the session ends. Under a policy
    /// that drops messages they never wait for replies, since the queue may never become empty.
    #[inline]
    fn is_congested(&mut self, round: &mut Round<'_, '_, 'a>) -> Result<bool, Closed> {
        // Called before every message, and hardly ever true.
        if self.outbox.is_paused() { self.stays_congested(round) } else { Ok(false) }
    }

    #[cold]
    fn stays_congested(&mut self, round: &mut Round<'_, '_, 'a>) -> Result<bool, Closed> {
        let _ = self.flush(round.cx)?;
        Ok(self.outbox.is_paused()
            && (round.config().slow_readers == SlowPolicy::Close || !self.outbox.is_open()))
    }

    /// Reads once and handles what came. Pending: there is no more.
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
            let Read { len, is_last } = match self.socket.poll_read(round.cx, self.outbox, scratch) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(read)) if read.len > 0 => read,
                // The end of the stream, or an error.
                Poll::Ready(_) => return Err(self.lost()),
            };
            let now = Instant::now();
            self.heartbeat.heard(now);
            round.read_at = Some(now);
            round.call.session().hub().metrics().read(len);
            let left = self.digest(round, &mut scratch[..len])?;
            if left > 0 {
                self.backlog.get_or_insert_default().put_back(scratch[len - left..len].to_vec(), left);
            }
            Ok(if is_last && self.backlog.is_none() { Poll::Pending } else { Poll::Ready(()) })
        })
    }

    pub(super) fn lost(&mut self) -> Closed {
        self.goodbye = Goodbye::Heard;
        Closed::lost()
    }

    /// Handles the bytes of a read. Returns how many of them are left.
    fn digest(&mut self, round: &mut Round<'_, '_, 'a>, mut input: &mut [u8]) -> Result<usize, Closed> {
        while let Progress::More = self.step(round, &mut input)? {
            // Most reads are one message. The decoder is called again only if it has something to decode or to free.
            if input.is_empty() && self.decoder.is_idle() {
                break;
            }
        }
        Ok(input.len())
    }

    fn step(&mut self, round: &mut Round<'_, '_, 'a>, input: &mut &mut [u8]) -> Result<Progress, Closed> {
        if round.work == 0 || !self.is_listening(round.call.session()) {
            return Ok(Progress::Paused);
        }
        let is_free = round.call.is_idle() && !self.has_messages() && !self.outbox.is_paused();
        let event = self.decoder.next(input, round.config().message_bytes);
        let event = event.map_err(|violation| {
            // The decoder does not decode after a violation, so an answer to the close frame would not be seen.
            self.goodbye = Goodbye::Refused;
            Closed::by_server(violation.close_code(), violation.to_string())
        })?;
        let Some(event) = event else { return Ok(Progress::Paused) };
        let verdict = match event {
            Event::Text(_) | Event::Binary(_) | Event::Ping(_) => {
                self.heartbeat.count(round.config().message_rate, round.price(event.len()))
            }
            Event::Pong(_) if round.call.session().answered() => Verdict::Allowed,
            Event::Pong(_) => self.heartbeat.answered(round.config().message_rate),
            Event::Close(_) => Verdict::Allowed,
        };
        if verdict == Verdict::Flood {
            return Err(Closed::by_server(CloseCode::TOO_MANY_MESSAGES, "too many messages"));
        }
        round.spend(event.len());
        let incoming = match event {
            Event::Text(text) if verdict == Verdict::Limited => {
                self.first_deadline = None;
                own::refuse(round.call.session(), Some(text));
                return Ok(Progress::More);
            }
            Event::Binary(_) if verdict == Verdict::Limited => {
                self.first_deadline = None;
                own::refuse(round.call.session(), None);
                return Ok(Progress::More);
            }
            Event::Text(text) if is_free => {
                round.call.session().hub().metrics().received();
                self.first_deadline = None;
                round.call.begin_text(text);
                // Most calls are ready at once, and the next message follows in the same read.
                let _ = round.call.poll(round.cx);
                return Ok(Progress::More);
            }
            Event::Text(text) => Incoming::Text(Text::from(text)),
            Event::Binary(bytes) => Incoming::Binary(Bytes::copy_from_slice(bytes)),
            Event::Pong(_) => return Ok(Progress::More),
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
        round.call.session().hub().metrics().received();
        self.first_deadline = None;
        let is_congested = self.is_congested(round)?;
        if round.call.is_idle() && !is_congested && !self.has_messages() {
            round.call.begin(incoming);
            // Most calls are ready at once, and the next message follows in the same read.
            let _ = round.call.poll(round.cx);
            return Ok(Progress::More);
        }
        let has_overtaken = match &incoming {
            Incoming::Text(text) => own::overtake(round.call.session(), text, !is_congested),
            Incoming::Opened | Incoming::Binary(_) => false,
        };
        if !has_overtaken {
            self.backlog.get_or_insert_default().push(incoming);
        }
        Ok(Progress::More)
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

impl<'a> Round<'_, '_, 'a> {
    fn config(&self) -> &'a Config {
        self.call.session().hub().config()
    }

    fn begin(&mut self, message: Incoming) {
        self.spend(message.len());
        self.call.begin(message);
    }

    /// The price of a message at the message rate. With compression a few bytes of the client cost the server many, so each KiB
    /// counts.
    fn price(&self, len: usize) -> u32 {
        if self.call.session().compresses() {
            1 + u32::try_from(len / 1024).unwrap_or(u32::MAX - 1)
        } else {
            1
        }
    }

    /// Charges a message to this poll. Compressing the reply costs as much again.
    fn spend(&mut self, len: usize) {
        let work = if self.call.session().compresses() { 2 * len } else { len };
        self.work = self.work.saturating_sub(work.max(LEAST_WORK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_fits_into_the_gap_beside_a_task() {
        assert!(size_of::<Engine<'_>>() <= 104, "{} bytes", size_of::<Engine<'_>>());
    }
}
