//! The timeouts of a connection, which share one timer.

use std::task::Context;
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;

use super::engine::Engine;
use super::handler_call::HandlerCall;
use super::heartbeat::Action;
use super::yield_turn::yield_turn;
use crate::close::Closed;
use crate::deadline::after;
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
        // Most calls have ended by now, and need no clock.
        if let Some(deadline) = call.limit(call.session().hub().config().handler_timeout) {
            self.wake_at(deadline);
        }
        // A read has just looked at the clock, so most timers need not be asked.
        if self.is_armed && read_at.is_some_and(|now| now < self.timer.deadline()) {
            return Ok(());
        }
        loop {
            // Once a task has used up what tokio allows it in one poll, a timer says nothing and need not be armed.
            self.is_armed = has_budget_remaining();
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            let now = Instant::now();
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
            let deadlines =
                [expiry, first_left, call_left].into_iter().flatten().map(|time| after(now, time));
            self.timer.as_mut().reset(deadlines.fold(next_beat, Instant::min));
        }
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
                self.outbox.ping();
                // The answer begins the next silence, which may end before this pong is due.
                let pong_timeout = config.pong_timeout;
                Ok(after(now, config.ping_interval.unwrap_or(pong_timeout).min(pong_timeout)))
            }
            Action::Dead => Err(Closed::by_server(CloseCode::NO_PONG, "no sign of life")),
            Action::Wait(moment) => Ok(moment),
        }
    }

    /// Sets the timer to this moment, unless it is set to an earlier one.
    pub(super) fn wake_at(&mut self, moment: Instant) {
        if moment < self.timer.deadline() {
            self.is_armed = false;
            self.timer.as_mut().reset(moment);
        }
    }
}
