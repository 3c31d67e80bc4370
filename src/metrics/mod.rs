//! Metrics, for the recorder of the `metrics` facade. The feature `metrics`.

#[cfg(feature = "metrics")]
mod handle;
#[cfg(feature = "metrics")]
mod log;
#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod silent;
#[cfg(feature = "metrics")]
mod stopwatch;
#[cfg(feature = "metrics")]
mod table;

// The rest of the crate calls their methods and knows nothing of the feature: without it they are empty.
#[cfg(feature = "metrics")]
pub(crate) use self::recorded::Metrics;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::{Metrics, Stopwatch};
#[cfg(feature = "metrics")]
pub(crate) use self::stopwatch::Stopwatch;
#[cfg(feature = "metrics")]
pub use self::table::{METRICS, Metric, MetricKind};
