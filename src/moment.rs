use std::time::Duration;

use tokio::time::Instant;

const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// `moment + time`, where "for ever" may be written as `Duration::MAX`.
pub(crate) fn after(moment: Instant, time: Duration) -> Instant {
    moment + bounded_time(time)
}

/// A time that can be waited for, where "for ever" may be written as `Duration::MAX`.
pub(crate) fn bounded_time(time: Duration) -> Duration {
    time.min(FAR)
}
