//! Delay before the next attempt.

use std::time::Duration;

use crate::websocket::CloseCode;

#[derive(Debug, Clone)]
pub(super) struct Backoff {
    pub(super) min: Duration,
    pub(super) max: Duration,
    /// Fixed delay in place of the backoff.
    pub(super) fixed: Option<Duration>,
}

/// Longest window that a server may ask for.
const LONGEST_WINDOW: Duration = Duration::from_secs(1000);

impl Backoff {
    /// The delay: `min + random(0, min(max, min · 2^failures))`, so that the clients of a failed server do not return in the same
    /// second. For a draining server, a random moment in the window that the server names. `random` is in 0..1.
    pub(super) fn after(&self, code: CloseCode, reason: &str, failures: u32, random: f64) -> Duration {
        if code == CloseCode::DRAIN
            && let Some(window) = window(reason)
        {
            return window.mul_f64(random);
        }
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let growing = self.min.saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX));
        self.min.saturating_add(growing.min(self.max).mul_f64(random))
    }
}

/// The window that a draining server names: decimal digits, in ms.
fn window(reason: &str) -> Option<Duration> {
    let digits = reason.bytes().all(|byte| byte.is_ascii_digit());
    let window = Duration::from_millis(reason.parse().ok().filter(|_| digits)?);
    (!window.is_zero() && window <= LONGEST_WINDOW).then_some(window)
}

/// A random number in 0..1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 8];
    // If there is no randomness, only the spread over many clients is lost.
    let _ = getrandom::getrandom(&mut bytes);
    (u64::from_ne_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { min: Duration::from_millis(500), max: Duration::from_secs(20), fixed: None };

    fn range(failures: u32) -> (u128, u128) {
        let at = |random| BACKOFF.after(CloseCode::ABNORMAL, "", failures, random).as_millis();
        (at(0.0), at(1.0))
    }

    #[test]
    fn delays_grow_up_to_a_cap() {
        let most = [1000, 1500, 2500, 4500, 8500, 16_500, 20_500, 20_500];
        for (failures, most) in (0..).zip(most) {
            assert_eq!(range(failures), (500, most), "{failures}");
        }
        assert_eq!(range(u32::MAX), (500, 20_500));
    }

    #[test]
    fn a_draining_server_names_the_window() {
        let at = |reason, random| BACKOFF.after(CloseCode::DRAIN, reason, 9, random).as_millis();
        assert_eq!((at("8000", 0.0), at("8000", 0.5)), (0, 4000));
        for (reason, half) in [("1", 0), ("0200", 100), ("30000", 15_000), ("1000000", 500_000)] {
            assert_eq!(at(reason, 0.5), half, "{reason}");
        }
        let long = "9".repeat(120);
        for nonsense in [
            "",
            "0",
            "-1",
            "-30000",
            "+5",
            " 5",
            "5 ",
            "1.5",
            "1e3",
            "0x10",
            "1000001",
            "99999999999",
            &long,
            "Infinity",
            "NaN",
            "null",
            "soon",
            "5s",
            "٣",
        ] {
            assert_eq!(at(nonsense, 0.0), 500, "{nonsense}");
        }
    }

    #[test]
    fn the_longest_delay_does_not_overflow() {
        let forever = Backoff { min: Duration::MAX, max: Duration::MAX, fixed: None };
        assert_eq!(forever.after(CloseCode::ABNORMAL, "", 3, 0.5), Duration::MAX);
    }

    #[test]
    fn a_fixed_delay_does_not_grow() {
        let fixed = Backoff { fixed: Some(Duration::from_secs(4)), ..BACKOFF };
        assert_eq!(fixed.after(CloseCode::ABNORMAL, "", 7, 0.7), Duration::from_secs(4));
    }

    #[test]
    fn random_fills_its_range() {
        let drawn: Vec<_> = (0..1000).map(|_| random()).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
        for tenth in 0..10 {
            assert!(drawn.iter().any(|x| (x * 10.0) as u32 == tenth), "nothing in tenth {tenth}");
        }
    }
}
