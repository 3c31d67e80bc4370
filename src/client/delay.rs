//! After how long to come back.

use std::time::Duration;

use crate::websocket::CloseCode;

#[derive(Debug, Clone)]
pub(super) struct Delays {
    pub(super) min: Duration,
    pub(super) max: Duration,
    /// Always so long instead.
    pub(super) fixed: Option<Duration>,
}

/// A server does not ask for more than this.
const LONGEST_WINDOW: Duration = Duration::from_secs(1000);

impl Delays {
    /// `min + random(0, min(max, min · 2^failures))`, so that the clients of a server that went away do not come back in
    /// the same second; or a random moment in the window that a draining server names. `random` is in 0..1.
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

/// The time that a draining server names: decimal digits, in ms.
fn window(reason: &str) -> Option<Duration> {
    let digits = reason.bytes().all(|byte| byte.is_ascii_digit());
    let window = Duration::from_millis(reason.parse().ok().filter(|_| digits)?);
    (!window.is_zero() && window <= LONGEST_WINDOW).then_some(window)
}

/// In 0..1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 8];
    // Without any randomness all is still well, but for many clients at once.
    let _ = getrandom::getrandom(&mut bytes);
    (u64::from_ne_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays =
        Delays { min: Duration::from_millis(500), max: Duration::from_secs(20), fixed: None };

    fn range(failures: u32) -> (u128, u128) {
        let at = |random| DELAYS.after(CloseCode::ABNORMAL, "", failures, random).as_millis();
        (at(0.0), at(1.0))
    }

    #[test]
    fn it_grows_up_to_a_cap() {
        let most = [1000, 1500, 2500, 4500, 8500, 16_500, 20_500, 20_500];
        for (failures, most) in (0..).zip(most) {
            assert_eq!(range(failures), (500, most), "{failures}");
        }
        assert_eq!(range(u32::MAX), (500, 20_500));
    }

    #[test]
    fn a_draining_server_names_the_window() {
        let at = |reason, random| DELAYS.after(CloseCode::DRAIN, reason, 9, random).as_millis();
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
    fn for_ever_is_a_time_too() {
        let forever = Delays { min: Duration::MAX, max: Duration::MAX, fixed: None };
        assert_eq!(forever.after(CloseCode::ABNORMAL, "", 3, 0.5), Duration::MAX);
    }

    #[test]
    fn a_fixed_delay_is_that() {
        let fixed = Delays { fixed: Some(Duration::from_secs(4)), ..DELAYS };
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
