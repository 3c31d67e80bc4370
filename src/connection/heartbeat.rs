//! When to ping, when to give up, and how many messages are too many, without a clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::after;
use crate::limits::Config;
use crate::limits::{Rate, RateLimiter, Verdict};

/// The signs of life of a client, and its debt at the message rate.
///
/// Any bytes that arrive are a sign of life, so a busy connection is never pinged.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// The last sign of life, or the last ping after it.
    since: Instant,
    /// The debt at `since` of the messages that have come, in microseconds: see [`RateLimiter`].
    debt: u32,
    ping: Ping,
    /// What the client has read for certain, since it stood in front of a ping that it answered, in units of 64 KiB. Wraps around.
    confirmed: u16,
    /// How much more than that stood in front of the ping that is not answered.
    asked: u8,
}

/// What has become of the last ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ping {
    /// It was answered, or none was sent.
    Answered,
    /// Nothing has come since.
    Silence,
    /// Something has come since, but no pong.
    Heard,
}

/// A ping waits in the kernel's buffers behind the bytes that the socket took before it. The timeout grows by this for each
/// 64 KiB of them.
const PER_UNIT: Duration = Duration::from_secs(1);

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Check again at this moment.
    Wait(Instant),
    /// Send a ping.
    Ping,
    /// The client is gone.
    Dead,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, debt: 0, ping: Ping::Answered, confirmed: 0, asked: 0 }
    }

    /// Records a sign of life.
    pub(super) fn heard(&mut self, now: Instant) {
        self.pay_off(now);
        if self.ping == Ping::Silence {
            self.ping = Ping::Heard;
        }
    }

    /// What the client has read for certain of what the socket has taken, if a sign of life is due.
    pub(super) fn unconfirmed(&self) -> Option<u16> {
        (self.ping == Ping::Silence).then_some(self.confirmed)
    }

    /// Charges so many messages, which arrived with the last sign of life.
    #[inline]
    pub(super) fn count(&mut self, rate: Option<Rate>, messages: u32) -> Verdict {
        let Some(rate) = rate else { return Verdict::Allowed };
        let limiter = RateLimiter::in_micros(rate);
        let debt = limiter.charge(self.debt.into(), messages);
        self.debt = u32::try_from(debt).unwrap_or(u32::MAX);
        limiter.verdict(debt)
    }

    /// Records a pong, and charges it unless it answers a ping.
    pub(super) fn answered(&mut self, rate: Option<Rate>) -> Verdict {
        if self.ping == Ping::Answered {
            return self.count(rate, 1);
        }
        self.ping = Ping::Answered;
        self.confirmed = self.confirmed.wrapping_add(self.asked.into());
        Verdict::Allowed
    }

    fn pay_off(&mut self, now: Instant) {
        if self.debt > 0 {
            let paid = now.saturating_duration_since(self.since).as_micros();
            self.debt = self.debt.saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX));
        }
        self.since = now;
    }

    /// The action that is due now. `in_front` is how much may be buffered before a ping, in units of 64 KiB. `is_heard` is
    /// whether the server reads from the client.
    pub(super) fn check(&self, now: Instant, in_front: u16, is_heard: bool, config: &Config) -> Action {
        let pinged = self.ping == Ping::Silence;
        let timeout = if pinged {
            config.pong_timeout.saturating_add(PER_UNIT * u32::from(in_front))
        } else {
            config.ping_interval.unwrap_or(Duration::MAX)
        };
        let due = after(self.since, timeout);
        if now < due {
            return Action::Wait(due);
        }
        if pinged && is_heard { Action::Dead } else { Action::Ping }
    }

    /// Records a ping that is sent when the socket has taken so much, in units of 64 KiB.
    pub(super) fn pinged(&mut self, now: Instant, taken: u16) {
        self.pay_off(now);
        // The next pong answers the first of several.
        if self.ping == Ping::Answered {
            self.asked = u8::try_from(taken.wrapping_sub(self.confirmed)).unwrap_or(u8::MAX);
        }
        self.ping = Ping::Silence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_pinged_and_then_given_up() {
        let config = Config::default();
        let (interval, timeout) = (config.ping_interval.unwrap(), config.pong_timeout);
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        assert_eq!(heartbeat.check(start, 0, true, &config), Action::Wait(start + interval));

        heartbeat.heard(start + interval / 2);
        assert_eq!(
            heartbeat.check(start + interval, 0, true, &config),
            Action::Wait(start + interval * 3 / 2)
        );

        let pinged = start + interval * 3 / 2;
        assert_eq!(heartbeat.check(pinged, 0, true, &config), Action::Ping);
        heartbeat.pinged(pinged, 0);
        assert_eq!(heartbeat.check(pinged, 0, true, &config), Action::Wait(pinged + timeout));
        assert_eq!(heartbeat.check(pinged + timeout, 0, true, &config), Action::Dead);
    }

    #[test]
    fn a_pong_is_a_sign_of_life() {
        let config = Config::default();
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        let pinged = start + config.ping_interval.unwrap();
        assert_eq!(heartbeat.check(pinged, 0, true, &config), Action::Ping);
        heartbeat.pinged(pinged, 0);
        heartbeat.heard(pinged);
        assert_eq!(
            heartbeat.check(pinged, 0, true, &config),
            Action::Wait(pinged + config.ping_interval.unwrap())
        );
    }

    #[test]
    fn a_burst_is_allowed_then_limited_then_a_flood() {
        let rate = Some(Rate::new(3, Duration::from_secs(3)));
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        let verdicts = |heartbeat: &mut Heartbeat, times| {
            (0..times).map(|_| heartbeat.count(rate, 1)).collect::<Vec<_>>()
        };
        use Verdict::{Allowed, Flood, Limited};
        assert_eq!(
            verdicts(&mut heartbeat, 7),
            [Allowed, Allowed, Allowed, Limited, Limited, Limited, Flood]
        );

        // What was refused has to be waited for as well.
        heartbeat.heard(start + Duration::from_secs(3));
        assert_eq!(verdicts(&mut heartbeat, 1), [Limited]);
        heartbeat.heard(start + Duration::from_secs(6));
        assert_eq!(verdicts(&mut heartbeat, 2), [Allowed, Limited]);
        heartbeat.heard(start + Duration::from_secs(60));
        assert_eq!(verdicts(&mut heartbeat, 4), [Allowed, Allowed, Allowed, Limited]);
    }

    #[test]
    fn the_sustained_rate_is_always_allowed() {
        let rate = Some(Rate::new(10, Duration::from_millis(100)));
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        for number in 0..1_000 {
            heartbeat.heard(start + Duration::from_millis(10) * number);
            assert_eq!(heartbeat.count(rate, 1), Verdict::Allowed, "{number}");
        }
    }

    #[test]
    fn a_pong_is_free_once_for_each_ping() {
        let config =
            Config { message_rate: Some(Rate::new(1, Duration::from_secs(1000))), ..Config::default() };
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        heartbeat.pinged(start, 0);
        heartbeat.heard(start);
        assert_eq!(heartbeat.answered(config.message_rate), Verdict::Allowed);
        assert_eq!(heartbeat.count(config.message_rate, 1), Verdict::Allowed);
        assert_eq!(heartbeat.answered(config.message_rate), Verdict::Limited);
    }

    #[test]
    fn a_pong_confirms_what_stood_in_front_of_its_ping() {
        let now = Instant::now();
        let mut heartbeat = Heartbeat::new(now);
        let mut confirmed_after = |pings: &[u16]| {
            pings.iter().for_each(|taken| heartbeat.pinged(now, *taken));
            heartbeat.heard(now);
            heartbeat.answered(None);
            heartbeat.confirmed
        };
        // Whatever the socket takes until the pong comes.
        assert_eq!(confirmed_after(&[3]), 3);
        assert_eq!(confirmed_after(&[]), 3, "a pong without a ping");
        assert_eq!(confirmed_after(&[5, 9]), 5, "the first of two");
        assert_eq!(confirmed_after(&[1000]), 5 + 255, "less than there was, where there was so much");
    }

    #[test]
    fn no_rate_overflows() {
        let day = Duration::from_secs(60 * 60 * 24);
        for rate in [Rate::new(1, day), Rate::new(u32::MAX, day), Rate::new(1, Duration::MAX)] {
            let mut heartbeat = Heartbeat::new(Instant::now());
            assert_eq!(heartbeat.count(Some(rate), 1), Verdict::Allowed);
            for _ in 0..5 {
                heartbeat.count(Some(rate), 1);
            }
        }
        let mut heartbeat = Heartbeat::new(Instant::now());
        assert!((0..10_000).all(|_| heartbeat.count(None, 1) == Verdict::Allowed));
    }

    #[test]
    fn the_longest_interval_does_not_overflow() {
        let config = Config { ping_interval: None, ..Config::default() };
        let start = Instant::now();
        assert!(matches!(Heartbeat::new(start).check(start, 0, true, &config), Action::Wait(_)));
    }
}
