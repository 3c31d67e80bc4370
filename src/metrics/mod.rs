//! Metrics for the recorder of the `metrics` facade (feature `metrics`).

#[cfg(feature = "metrics")]
mod cluster;
#[cfg(feature = "metrics")]
mod handle;
#[cfg(any(feature = "metrics", feature = "push-api"))]
mod kinds;
#[cfg(feature = "metrics")]
mod log;
#[cfg(feature = "metrics")]
mod push_api;
#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod silent;
#[cfg(feature = "metrics")]
mod stopwatch;
#[cfg(feature = "metrics")]
mod table;

// Other modules call these methods whether or not the feature is enabled. Without it the methods are empty.
#[cfg(feature = "metrics")]
pub(crate) use self::cluster::ClusterMetrics;
#[cfg(feature = "push-api")]
pub(crate) use self::kinds::{PushApiCall, RefusedSecret};
#[cfg(feature = "metrics")]
pub(crate) use self::recorded::Metrics;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::{ClusterMetrics, Metrics, Stopwatch};
#[cfg(feature = "metrics")]
pub(crate) use self::stopwatch::Stopwatch;
#[cfg(feature = "metrics")]
pub use self::table::{METRICS, Metric, MetricKind};
