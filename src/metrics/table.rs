//! The names, and what they mean.

/// All that a hub registers, with the recorder that is installed when it is built.
///
/// The names follow Prometheus' conventions as they are; a recorder need not add a unit or a `_total`. Several hubs of one
/// process add up.
///
/// An exporter wants to know about histograms' buckets beforehand:
///
/// ```
/// use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
///
/// let mut prometheus = PrometheusBuilder::new();
/// for metric in keywire::metrics::METRICS.iter().filter(|metric| !metric.buckets.is_empty()) {
///     prometheus = prometheus.set_buckets_for_metric(Matcher::Full(metric.name.into()), metric.buckets)?;
/// }
/// let recorder = prometheus.build_recorder();
/// # Ok::<(), metrics_exporter_prometheus::BuildError>(())
/// ```
pub const METRICS: [&Metric; 21] = [
    &SESSIONS,
    &KEYS,
    &OPENED,
    &CLOSED,
    &REFUSALS,
    &MESSAGES,
    &BYTES,
    &QUEUE_FILL,
    &SLOW_CLOSES,
    &DROPPED,
    &DISPATCH,
    &HANDLER,
    &HANDLER_FAILURES,
    &FOLLOWERS,
    &LOG_APPENDS,
    &LOG_BYTES,
    &LOG_APPEND,
    &LOG_READS,
    &LOG_READ,
    &LOG_REPLAYED,
    &LOG_GAPS,
];

/// Something that is counted or measured.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// What it is called, with its unit at the end where it has one.
    pub name: &'static str,
    /// What can be done with it.
    pub kind: MetricKind,
    /// The labels that each of its series has.
    pub labels: &'static [&'static str],
    /// What it says, as the recorder is told.
    pub about: &'static str,
    /// For a histogram upper bounds that tell something, in ascending order; else none.
    pub buckets: &'static [f64],
}

/// What can be done with a [`Metric`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Many values, of which the distribution matters.
    Histogram,
}

pub(super) const SESSIONS: Metric = gauge("keywire_sessions", "Live sessions.");

pub(super) const KEYS: Metric = gauge("keywire_keys", "Different keys that have a live session.");

pub(super) const OPENED: Metric =
    counter("keywire_sessions_opened_total", &[], "Sessions that entered the store.");

pub(super) const CLOSED: Metric = counter(
    "keywire_sessions_closed_total",
    &["by", "code"],
    "Sessions that ended, by who ended them (peer, server, network) and close code (other: one that is not listed).",
);

pub(super) const REFUSALS: Metric = counter(
    "keywire_refusals_total",
    &["kind"],
    "Openings that were refused, by kind of rejection (no_opening: not a WebSocket handshake at all).",
);

pub(super) const MESSAGES: Metric = counter(
    "keywire_messages_total",
    &["direction"],
    "Messages that came in, and messages that were taken into the queue of a session to go out.",
);

pub(super) const BYTES: Metric = counter(
    "keywire_bytes_total",
    &["direction"],
    "Bytes read from sockets of sessions, and bytes of the messages that were taken to go out, as they are on the wire.",
);

pub(super) const QUEUE_FILL: Metric = histogram(
    "keywire_queue_fill_ratio",
    &FILL_BUCKETS,
    "How full the queue of a session is whose socket takes no more, each time a message joins it (1: full).",
);

pub(super) const SLOW_CLOSES: Metric =
    counter("keywire_slow_closes_total", &[], "Sessions that were closed because their client did not read.");

pub(super) const DROPPED: Metric = counter(
    "keywire_messages_dropped_total",
    &[],
    "Messages that were dropped for sessions whose client does not read and is not closed for it.",
);

pub(super) const DISPATCH: Metric = histogram(
    "keywire_dispatch_seconds",
    &TIME_BUCKETS,
    "How long the store took to give an order of the hub to all its recipients.",
);

pub(super) const HANDLER: Metric = histogram(
    "keywire_handler_seconds",
    &TIME_BUCKETS,
    "How long the handler worked on a message, or on the beginning of a session, until it answered or failed.",
);

pub(super) const HANDLER_FAILURES: Metric = counter(
    "keywire_handler_failures_total",
    &["kind"],
    "Calls of the handler that failed, by kind (error, panic, timeout, hook: one that only learns of something has panicked or taken too long).",
);

pub(super) const FOLLOWERS: Metric =
    gauge("keywire_followers", "Live sessions that follow the log of their key.");

pub(super) const LOG_APPENDS: Metric = counter(
    "keywire_log_appends_total",
    &["outcome"],
    "Pushes that were to be kept, by outcome (at: kept, again: the log had it already, failed: not kept, unknown: no answer).",
);

pub(super) const LOG_BYTES: Metric =
    counter("keywire_log_appended_bytes_total", &[], "Bytes of the pushes that were kept, as JSON.");

pub(super) const LOG_APPEND: Metric =
    histogram("keywire_log_append_seconds", &TIME_BUCKETS, "Duration of an append to the log.");

pub(super) const LOG_READS: Metric = gauge("keywire_log_reads", "Reads of the log in flight.");

pub(super) const LOG_READ: Metric = histogram(
    "keywire_log_read_seconds",
    &TIME_BUCKETS,
    "Duration of a read of the log, failed ones included.",
);

pub(super) const LOG_REPLAYED: Metric = counter(
    "keywire_log_replayed_total",
    &[],
    "Kept pushes that a session got out of the log: those that it missed, or that its queue had no room for.",
);

pub(super) const LOG_GAPS: Metric = counter(
    "keywire_log_gaps_total",
    &["kind"],
    "Gaps that followers were told of, by kind (trimmed: the log keeps no more; reset: it is not the log that was followed).",
);

/// From a message handed to memory to a call that waits for somebody else's timeout.
const TIME_BUCKETS: [f64; 14] =
    [0.000_005, 0.000_025, 0.0001, 0.000_5, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

const FILL_BUCKETS: [f64; 6] = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0];

const fn gauge(name: &'static str, about: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, labels: &[], about, buckets: &[] }
}

const fn counter(name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, labels, about, buckets: &[] }
}

const fn histogram(name: &'static str, buckets: &'static [f64], about: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, labels: &[], about, buckets }
}
