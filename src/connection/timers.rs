//! The timeouts of a connection, which share one timer.

use std::task::Context;
use std::time::Duration;

use tokio::time::Instant;

use super::engine::Engine;
use super::following::DOUBT;
use super::handler_call::HandlerCall;
use super::heartbeat::Action;
use super::yield_turn::yield_turn;
use crate::close::Closed;
use crate::deadline::{Deadline, after};
use crate::session::Session;
use crate::websocket::CloseCode;

impl<'a> Engine<'a> {
    /// Ends the session if one of its timeouts has passed, and sets the timer to the next one.
    pub(super) fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        call: &mut HandlerCall<'a>,
        read_at: Option<Instant>,
    ) -> Result<(), Closed> {
        let timeout = call.session().hub().config().handler_timeout;
        // Most calls have ended by now, and need no clock.
        if let Some(now) = call.limit(timeout) {
            self.wake_after(now, timeout);
        }
        // A read has just looked at the clock.
        let mut now = read_at.unwrap_or_else(Instant::now);
        loop {
            if self.due.is_none_or(|due| due.is_ahead(now)) {
                if !self.is_armed {
                    self.arm(cx, now, call.session());
                }
                return Ok(());
            }
            now = Instant::now();
            let next_beat = self.check_heartbeat(cx, now, call.session())?;
            let expiry = call.session().time_to_expiry();
            if expiry == Some(Duration::ZERO) {
                return Err(Closed::by_server(CloseCode::EXPIRED, "credential expired"));
            }
            let first_left = self.first_deadline.map(|deadline| deadline.left(now));
            if first_left == Some(Duration::ZERO) {
                return Err(Closed::by_server(CloseCode::NO_PONG, "no message in time"));
            }
            let mut call_left = call.deadline().map(|deadline| deadline.left(now));
            if call_left == Some(Duration::ZERO) {
                call.give_up();
                // Polls again, to tell the handler and to go on.
                cx.waker().wake_by_ref();
                call_left = None;
            }
            // Also where there are no pings.
            let doubt = self.following.as_ref().map(|_| DOUBT);
            let waits = [expiry, first_left, call_left, doubt].into_iter().flatten();
            let wait = waits.fold(next_beat.saturating_duration_since(now), Duration::min);
            self.due = Some(Deadline::not_before(now, wait));
            self.is_armed = false;
        }
    }

    /// Has the task woken when the timeouts are due, by the session's timer.
    #[cold]
    fn arm(&mut self, cx: &Context<'_>, now: Instant, session: &Session) {
        match self.due {
            Some(due) => session.timer().set(now + due.left(now), cx.waker()),
            None => session.timer().stop(),
        }
        self.is_armed = true;
    }

    /// Looks for signs of life, and pings. Returns when to do so again.
    fn check_heartbeat(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        session: &Session,
    ) -> Result<Instant, Closed> {
        if let Some(following) = &mut self.following {
            following.check_doubts();
        }
        if self.outbox.press() {
            self.heartbeat.heard(now);
            // There may be room for replies now, of which the socket does not tell.
            yield_turn(cx);
        }
        let is_listening = self.is_listening(session);
        if !is_listening && self.outbox.is_hung_up() {
            return Err(self.lost());
        }
        // The client is not silent while the handler keeps the server from reading. Pings go on, and the kernel reports an
        // error for them if the client is gone.
        let is_heard = is_listening || self.outbox.is_full();
        let in_front = self.heartbeat.unconfirmed().map_or(0, |confirmed| self.outbox.in_front(confirmed));
        let config = session.hub().config();
        match self.heartbeat.check(now, in_front, is_heard, config) {
            Action::Ping => {
                self.heartbeat.pinged(now, self.outbox.taken());
                self.outbox.ping();
                // The answer begins the next silence, which may end before this pong is due.
                let pong_timeout = config.pong_timeout;
                Ok(after(now, config.ping_interval.unwrap_or(pong_timeout).min(pong_timeout)))
            }
            Action::Dead => Err(Closed::by_server(CloseCode::NO_PONG, "no sign of life")),
            Action::Wait(moment) => Ok(moment),
        }
    }

    /// Looks at the timeouts after this time, unless that is done earlier.
    pub(super) fn wake_after(&mut self, now: Instant, time: Duration) {
        if self.due.is_none_or(|due| time < due.left(now)) {
            self.is_armed = false;
            self.due = Some(Deadline::not_before(now, time));
        }
    }
}
