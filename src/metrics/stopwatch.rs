use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The start of a measurement, in nanoseconds since the first start in this process. It is half as large as an `Instant`, since
/// every idle session has one.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(u64);

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(FIRST.elapsed().as_nanos() as u64)
    }

    pub(super) fn elapsed(self) -> Duration {
        FIRST.elapsed().saturating_sub(Duration::from_nanos(self.0))
    }
}
