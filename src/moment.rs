use std::time::Duration;

use tokio::time::Instant;

/// `moment + time`, where "for ever" may be written as `Duration::MAX`.
pub(crate) fn after(moment: Instant, time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    moment + time.min(FAR)
}
