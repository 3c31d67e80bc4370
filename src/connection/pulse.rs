//! When to ping, when to give up, and how much is too much: the time of a connection without a clock in it.

use std::mem;

use tokio::time::Instant;

use crate::config::Config;
use crate::door::Rate;
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
}

/// How fast a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Good,
    /// This one came too soon.
    Hasty,
    /// So did as many before it as may come at once.
    Flood,
}

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
        Self { since: now, debt: 0, pinged: false, owed: false }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.go_on(now);
        self.pinged = false;
    }

    /// Counts what has come since something was last heard.
    pub(super) fn count(&mut self, rate: Option<Rate>) -> Pace {
        let Some(rate) = rate else { return Pace::Good };
        let at_once = rate.micros();
        self.debt = self.debt.saturating_add(rate.interval_micros());
        match self.debt {
            debt if debt <= at_once => Pace::Good,
            debt if debt <= 2 * at_once => Pace::Hasty,
            _ => Pace::Flood,
        }
    }

    /// Counts a pong, unless it was asked for.
    pub(super) fn count_pong(&mut self, rate: Option<Rate>) -> Pace {
        if mem::take(&mut self.owed) { Pace::Good } else { self.count(rate) }
    }

    fn go_on(&mut self, now: Instant) {
        if self.debt > 0 {
            let paid = now.saturating_duration_since(self.since).as_micros();
            self.debt = self.debt.saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX));
        }
        self.since = now;
    }

    pub(super) fn check(&mut self, now: Instant, config: &Config) -> Beat {
        let patience = if self.pinged { config.pong_timeout } else { config.ping_interval };
        let due = after(self.since, patience);
        if now < due {
            return Beat::Wait(due);
        }
        if self.pinged {
            return Beat::Dead;
        }
        self.go_on(now);
        (self.pinged, self.owed) = (true, true);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_silent_peer_is_pinged_and_then_given_up() {
        let config = Config::default();
        let (interval, timeout) = (config.ping_interval, config.pong_timeout);
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.check(start, &config), Beat::Wait(start + interval));

        pulse.heard(start + interval / 2);
        assert_eq!(pulse.check(start + interval, &config), Beat::Wait(start + interval * 3 / 2));

        let pinged = start + interval * 3 / 2;
        assert_eq!(pulse.check(pinged, &config), Beat::Ping);
        assert_eq!(pulse.check(pinged, &config), Beat::Wait(pinged + timeout));
        assert_eq!(pulse.check(pinged + timeout, &config), Beat::Dead);
    }

    #[test]
    fn an_answer_to_the_ping_is_life() {
        let config = Config::default();
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let pinged = start + config.ping_interval;
        assert_eq!(pulse.check(pinged, &config), Beat::Ping);
        pulse.heard(pinged);
        assert_eq!(pulse.check(pinged, &config), Beat::Wait(pinged + config.ping_interval));
    }

    #[test]
    fn a_burst_is_good_then_hasty_then_a_flood() {
        let rate = Some(Rate::new(3, Duration::from_secs(3)));
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let paces = |pulse: &mut Pulse, times| (0..times).map(|_| pulse.count(rate)).collect::<Vec<_>>();
        use Pace::{Flood, Good, Hasty};
        assert_eq!(paces(&mut pulse, 7), [Good, Good, Good, Hasty, Hasty, Hasty, Flood]);

        // What was refused has to be waited for as well.
        pulse.heard(start + Duration::from_secs(3));
        assert_eq!(paces(&mut pulse, 1), [Hasty]);
        pulse.heard(start + Duration::from_secs(6));
        assert_eq!(paces(&mut pulse, 2), [Good, Hasty]);
        pulse.heard(start + Duration::from_secs(60));
        assert_eq!(paces(&mut pulse, 4), [Good, Good, Good, Hasty]);
    }

    #[test]
    fn the_rate_is_kept_for_ever() {
        let rate = Some(Rate::new(10, Duration::from_millis(100)));
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for number in 0..1_000 {
            pulse.heard(start + Duration::from_millis(10) * number);
            assert_eq!(pulse.count(rate), Pace::Good, "{number}");
        }
    }

    #[test]
    fn a_pong_is_free_once_for_each_ping() {
        let config =
            Config { message_rate: Some(Rate::new(1, Duration::from_secs(1000))), ..Config::default() };
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.check(start + config.ping_interval, &config), Beat::Ping);
        pulse.heard(start + config.ping_interval);
        assert_eq!(pulse.count_pong(config.message_rate), Pace::Good);
        assert_eq!(pulse.count(config.message_rate), Pace::Good);
        assert_eq!(pulse.count_pong(config.message_rate), Pace::Hasty);
    }

    #[test]
    fn no_rate_overflows() {
        let day = Duration::from_secs(60 * 60 * 24);
        for rate in [Rate::new(1, day), Rate::new(u32::MAX, day), Rate::new(1, Duration::MAX)] {
            let mut pulse = Pulse::new(Instant::now());
            assert_eq!(pulse.count(Some(rate)), Pace::Good);
            for _ in 0..5 {
                pulse.count(Some(rate));
            }
        }
        let mut pulse = Pulse::new(Instant::now());
        assert!((0..10_000).all(|_| pulse.count(None) == Pace::Good));
    }

    #[test]
    fn for_ever_is_a_time_too() {
        let config = Config { ping_interval: Duration::MAX, ..Config::default() };
        let start = Instant::now();
        assert!(matches!(Pulse::new(start).check(start, &config), Beat::Wait(_)));
    }
}
