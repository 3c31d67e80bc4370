//! When to ping, and when to give up: the time of a connection without a clock in it.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;

/// What was last heard of a peer and asked of it.
///
/// Anything that arrives is a sign of life, so a busy connection is never pinged.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When something was last heard, or asked for since.
    since: Instant,
    /// Whether something was asked for since.
    pinged: bool,
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
        Self { since: now, pinged: false }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        *self = Self::new(now);
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
        *self = Self { since: now, pinged: true };
        Beat::Ping
    }
}

/// `since + time`, where "for ever" may be written as `Duration::MAX`.
pub(super) fn after(since: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    since + time.min(FAR)
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
    fn for_ever_is_a_time_too() {
        let config = Config { ping_interval: Duration::MAX, ..Config::default() };
        let start = Instant::now();
        assert!(matches!(Pulse::new(start).check(start, &config), Beat::Wait(_)));
    }
}
