//! What happens, in numbers, for whoever collects them.
//!
//! The rest of the crate calls the methods of [`Metrics`] and knows nothing of the feature: without it they are empty.

#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod silent;
#[cfg(feature = "metrics")]
mod table;

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::{Metrics, Stopwatch};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::{Metrics, Stopwatch};
#[cfg(feature = "metrics")]
pub use self::table::{METRICS, Metric, MetricKind};
