use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::tick::millis;

/// How often something may happen, counted in the four bytes that each session has for it (the generic cell rate algorithm).
pub(super) struct Rate {
    /// All of them may happen at once.
    pub(super) times: u32,
    pub(super) per: Duration,
}

impl Rate {
    /// Whether once more is within the rate; if so, it counts. `used` is when all that it has used would have been
    /// given back, in milliseconds; only one task changes it.
    pub(super) fn allow(&self, used: &AtomicU32, now: Instant) -> bool {
        let (now, per) = (millis(now), self.per.as_millis() as u32);
        // The milliseconds begin again at 0 after 49 days, so a moment beyond what can be used up is past.
        let ahead =
            Some(used.load(Ordering::Relaxed).wrapping_sub(now)).filter(|ahead| *ahead <= per).unwrap_or(0);
        let ahead = ahead + per / self.times;
        if ahead > per {
            return false;
        }
        used.store(now.wrapping_add(ahead), Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_once_then_one_by_one() {
        let rate = Rate { times: 10, per: Duration::from_secs(60) };
        for days in [0, 49, 50, 100] {
            let used = AtomicU32::new(0);
            // A session that is opened in the first minute of the process has used nothing either.
            let start = Instant::now() + Duration::from_secs(days * 24 * 60 * 60 + 61);
            let allowed =
                |after| (0..100).filter(|_| rate.allow(&used, start + Duration::from_secs(after))).count();
            assert_eq!(allowed(0), 10);
            assert_eq!(allowed(5), 0);
            assert_eq!(allowed(6), 1);
            assert_eq!(allowed(18), 2);
            assert_eq!(allowed(24 * 60 * 60), 10, "nothing is saved up");
            assert_eq!(allowed(26 * 24 * 60 * 60), 10);
            assert_eq!(allowed(52 * 24 * 60 * 60), 10);
        }
    }
}
