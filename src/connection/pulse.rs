//! When to ping, when to give up, and how much is too much: the time of a connection without a clock in it.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;
use crate::limits::{Rate, RateLimiter, Verdict};
use crate::moment::after;

/// What was last heard of a peer and asked of it.
///
/// Anything that arrives is a sign of life, so a busy connection is never pinged.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When something was last heard, or asked for since.
    since: Instant,
    /// In how many microseconds from `since` on all that came would have come in time at the rate that is allowed (the
    /// generic cell rate algorithm).
    debt: u32,
    /// Whether something was asked for since.
    pinged: bool,
    /// Whether a pong may come that was asked for.
    owed: bool,
    /// What the socket had taken when the peer last answered a ping, in units of 64 KiB. Wraps.
    confirmed: u16,
}

/// A ping stands behind what the socket has taken before it, in the system's buffers. For each 64 KiB of that its answer
/// may take this much longer.
const PER_UNIT: Duration = Duration::from_secs(1);

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing before this moment.
    Wait(Instant),
    /// Ask for a sign of life.
    Ping,
    /// The peer is gone.
    Dead,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, debt: 0, pinged: false, owed: false, confirmed: 0 }
    }

    /// The peer has given a sign of life.
    pub(super) fn heard(&mut self, now: Instant) {
        self.go_on(now);
        self.pinged = false;
    }

    /// The peer has read what the socket had taken, in units of 64 KiB.
    pub(super) fn confirm(&mut self, taken: u16) {
        self.confirmed = taken;
    }

    /// What the socket had taken when the peer was last known to have read it all, if a ping waits for its answer.
    pub(super) fn unconfirmed(&self) -> Option<u16> {
        self.pinged.then_some(self.confirmed)
    }

    /// Counts what has come since something was last heard, as this many messages.
    #[inline]
    pub(super) fn count(&mut self, rate: Option<Rate>, messages: u32) -> Verdict {
        let Some(rate) = rate else { return Verdict::Allowed };
        let limiter = RateLimiter::in_micros(rate);
        let debt = limiter.charge(self.debt.into(), messages);
        self.debt = u32::try_from(debt).unwrap_or(u32::MAX);
        limiter.verdict(debt)
    }

    /// Counts a pong, unless it was asked for.
    pub(super) fn count_pong(&mut self, rate: Option<Rate>) -> Verdict {
        if mem::take(&mut self.owed) { Verdict::Allowed } else { self.count(rate, 1) }
    }

    fn go_on(&mut self, now: Instant) {
        if self.debt > 0 {
            let paid = now.saturating_duration_since(self.since).as_micros();
            self.debt = self.debt.saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX));
        }
        self.since = now;
    }

    /// What is due now. `in_front` is how much may stand in front of a ping, in units of 64 KiB, `is_heard` whether the peer
    /// would be heard if it said something.
    pub(super) fn check(&mut self, now: Instant, in_front: u16, is_heard: bool, config: &Config) -> Beat {
        let patience = if self.pinged {
            config.pong_timeout.saturating_add(PER_UNIT * u32::from(in_front))
        } else {
            config.ping_interval
        };
        let due = after(self.since, patience);
        if now < due {
            return Beat::Wait(due);
        }
        if self.pinged && is_heard {
            return Beat::Dead;
        }
        self.go_on(now);
        (self.pinged, self.owed) = (true, true);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_pinged_and_then_given_up() {
        let config = Config::default();
        let (interval, timeout) = (config.ping_interval, config.pong_timeout);
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.check(start, 0, true, &config), Beat::Wait(start + interval));

        pulse.heard(start + interval / 2);
        assert_eq!(pulse.check(start + interval, 0, true, &config), Beat::Wait(start + interval * 3 / 2));

        let pinged = start + interval * 3 / 2;
        assert_eq!(pulse.check(pinged, 0, true, &config), Beat::Ping);
        assert_eq!(pulse.check(pinged, 0, true, &config), Beat::Wait(pinged + timeout));
        assert_eq!(pulse.check(pinged + timeout, 0, true, &config), Beat::Dead);
    }

    #[test]
    fn an_answer_to_the_ping_is_life() {
        let config = Config::default();
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let pinged = start + config.ping_interval;
        assert_eq!(pulse.check(pinged, 0, true, &config), Beat::Ping);
        pulse.heard(pinged);
        assert_eq!(pulse.check(pinged, 0, true, &config), Beat::Wait(pinged + config.ping_interval));
    }

    #[test]
    fn a_burst_is_allowed_then_limited_then_a_flood() {
        let rate = Some(Rate::new(3, Duration::from_secs(3)));
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let verdicts =
            |pulse: &mut Pulse, times| (0..times).map(|_| pulse.count(rate, 1)).collect::<Vec<_>>();
        use Verdict::{Allowed, Flood, Limited};
        assert_eq!(verdicts(&mut pulse, 7), [Allowed, Allowed, Allowed, Limited, Limited, Limited, Flood]);

        // What was refused has to be waited for as well.
        pulse.heard(start + Duration::from_secs(3));
        assert_eq!(verdicts(&mut pulse, 1), [Limited]);
        pulse.heard(start + Duration::from_secs(6));
        assert_eq!(verdicts(&mut pulse, 2), [Allowed, Limited]);
        pulse.heard(start + Duration::from_secs(60));
        assert_eq!(verdicts(&mut pulse, 4), [Allowed, Allowed, Allowed, Limited]);
    }

    #[test]
    fn the_rate_is_kept_for_ever() {
        let rate = Some(Rate::new(10, Duration::from_millis(100)));
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for number in 0..1_000 {
            pulse.heard(start + Duration::from_millis(10) * number);
            assert_eq!(pulse.count(rate, 1), Verdict::Allowed, "{number}");
        }
    }

    #[test]
    fn a_pong_is_free_once_for_each_ping() {
        let config =
            Config { message_rate: Some(Rate::new(1, Duration::from_secs(1000))), ..Config::default() };
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.check(start + config.ping_interval, 0, true, &config), Beat::Ping);
        pulse.heard(start + config.ping_interval);
        assert_eq!(pulse.count_pong(config.message_rate), Verdict::Allowed);
        assert_eq!(pulse.count(config.message_rate, 1), Verdict::Allowed);
        assert_eq!(pulse.count_pong(config.message_rate), Verdict::Limited);
    }

    #[test]
    fn no_rate_overflows() {
        let day = Duration::from_secs(60 * 60 * 24);
        for rate in [Rate::new(1, day), Rate::new(u32::MAX, day), Rate::new(1, Duration::MAX)] {
            let mut pulse = Pulse::new(Instant::now());
            assert_eq!(pulse.count(Some(rate), 1), Verdict::Allowed);
            for _ in 0..5 {
                pulse.count(Some(rate), 1);
            }
        }
        let mut pulse = Pulse::new(Instant::now());
        assert!((0..10_000).all(|_| pulse.count(None, 1) == Verdict::Allowed));
    }

    #[test]
    fn for_ever_is_a_time_too() {
        let config = Config { ping_interval: Duration::MAX, ..Config::default() };
        let start = Instant::now();
        assert!(matches!(Pulse::new(start).check(start, 0, true, &config), Beat::Wait(_)));
    }
}
