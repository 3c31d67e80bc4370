use std::time::{Duration, SystemTime};

/// The time in milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The time `age` before `now`.
#[cfg(feature = "sqlite")]
pub(super) fn before(now: u64, age: Duration) -> u64 {
    now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

/// Whether `time` is more than `age` before `now`.
pub(crate) fn is_older(time: u64, age: Duration, now: u64) -> bool {
    u128::from(now.saturating_sub(time)) > age.as_millis()
}
