//! Table of all metrics: names, kinds, labels, descriptions and buckets.

/// All metrics of a hub. A hub registers them with the recorder that is installed when the hub is built.
///
/// The names already follow Prometheus' conventions, so a recorder need not add a unit or `_total`. The values of several hubs in
/// one process add up.
///
/// An exporter needs the buckets of histograms in advance:
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
pub const METRICS: [&Metric; 28] = [
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
    &ANSWERS_IGNORED,
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
    &CLUSTER_CONNECTED,
    &CLUSTER_PUBLISHED,
    &CLUSTER_RECEIVED,
    &CLUSTER_INTERRUPTIONS,
    &PUSH_API_CALLS,
    &PUSH_API_SECRETS,
];

/// Description of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Name, with the unit at the end if there is one.
    pub name: &'static str,
    /// Kind.
    pub kind: MetricKind,
    /// Labels of each series.
    pub labels: &'static [&'static str],
    /// Description, which is passed to the recorder.
    pub about: &'static str,
    /// Useful upper bounds of a histogram's buckets, in ascending order. Empty for other kinds.
    pub buckets: &'static [f64],
}

/// Kind of a [`Metric`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A count that only rises.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// A distribution of values.
    Histogram,
}

pub(super) const SESSIONS: Metric = gauge("keywire_sessions", "Live sessions.");

pub(super) const KEYS: Metric = gauge("keywire_keys", "Different keys that have a live session.");

pub(super) const OPENED: Metric =
    counter("keywire_sessions_opened_total", &[], "Sessions that entered the store.");

pub(super) const CLOSED: Metric = counter(
    "keywire_sessions_closed_total",
    &["by", "code"],
    "Sessions that ended, by the party that ended them (peer, server, network) and close code (other: a code that is not listed).",
);

pub(super) const REFUSALS: Metric = counter(
    "keywire_refusals_total",
    &["kind"],
    "Openings that were refused, by kind of rejection (no_opening: not a WebSocket handshake).",
);

pub(super) const MESSAGES: Metric = counter(
    "keywire_messages_total",
    &["direction"],
    "Messages received (in), and messages added to the queue of a session (out).",
);

pub(super) const BYTES: Metric = counter(
    "keywire_bytes_total",
    &["direction"],
    "Bytes read from sockets of sessions (in), and bytes of messages added to the queue of a session, as on the wire (out).",
);

pub(super) const QUEUE_FILL: Metric = histogram(
    "keywire_queue_fill_ratio",
    &FILL_BUCKETS,
    "Fill of a session's queue (1: full), recorded for each message that is added while the socket accepts no more bytes.",
);

pub(super) const SLOW_CLOSES: Metric =
    counter("keywire_slow_closes_total", &[], "Sessions that were closed because their client did not read.");

pub(super) const ANSWERS_IGNORED: Metric = counter(
    "keywire_answers_ignored_total",
    &[],
    "Answers of clients that no request was waiting for: late, twice, or to no request.",
);

pub(super) const DROPPED: Metric = counter(
    "keywire_messages_dropped_total",
    &[],
    "Messages that were dropped because the client does not read, for sessions that are not closed for this.",
);

pub(super) const DISPATCH: Metric = histogram(
    "keywire_dispatch_seconds",
    &TIME_BUCKETS,
    "Time in which the store applies an order of the hub to all its recipients.",
);

pub(super) const HANDLER: Metric = histogram(
    "keywire_handler_seconds",
    &TIME_BUCKETS,
    "Time in which the handler handles a message or the opening of a session, until it replies or fails.",
);

pub(super) const HANDLER_FAILURES: Metric = counter(
    "keywire_handler_failures_total",
    &["kind"],
    "Handler calls that failed, by kind (error, panic, timeout, hook: a panic or timeout of a hook without a result).",
);

pub(super) const FOLLOWERS: Metric =
    gauge("keywire_followers", "Live sessions that follow the log of their key.");

pub(super) const LOG_APPENDS: Metric = counter(
    "keywire_log_appends_total",
    &["outcome"],
    "Appends of pushes to the log, by outcome (at: kept, again: already in the log, failed: not kept, unknown: no answer).",
);

pub(super) const LOG_BYTES: Metric =
    counter("keywire_log_appended_bytes_total", &[], "Bytes of pushes that were kept, as JSON.");

pub(super) const LOG_APPEND: Metric =
    histogram("keywire_log_append_seconds", &TIME_BUCKETS, "Duration of an append to the log.");

pub(super) const LOG_READS: Metric = gauge("keywire_log_reads", "Reads of the log in flight.");

pub(super) const LOG_READ: Metric = histogram(
    "keywire_log_read_seconds",
    &TIME_BUCKETS,
    "Duration of a read of the log, including failed reads.",
);

pub(super) const LOG_REPLAYED: Metric = counter(
    "keywire_log_replayed_total",
    &[],
    "Kept pushes that a session got from the log, since it missed them or its queue had no room for them.",
);

pub(super) const LOG_GAPS: Metric = counter(
    "keywire_log_gaps_total",
    &["kind"],
    "Gaps that followers were told of, by kind (trimmed: the log has removed entries; reset: it is another log than before).",
);

pub(super) const CLUSTER_CONNECTED: Metric = gauge(
    "keywire_cluster_connected",
    "1 while this node can publish to its cluster and all its subscriptions are in force, else 0.",
);

pub(super) const CLUSTER_PUBLISHED: Metric = counter(
    "keywire_cluster_published_total",
    &["outcome"],
    "Messages for the other nodes of the cluster, by outcome (published: the engine has it; failed: it has not, or may not have).",
);

pub(super) const CLUSTER_RECEIVED: Metric = counter(
    "keywire_cluster_received_total",
    &["outcome"],
    "Messages from other nodes, by outcome (applied: given to this node's sessions; unreadable: dropped, from a later version?).",
);

pub(super) const CLUSTER_INTERRUPTIONS: Metric = counter(
    "keywire_cluster_interruptions_total",
    &[],
    "Interruptions of the cluster, in which messages from other nodes may have been lost.",
);

pub(super) const PUSH_API_CALLS: Metric = counter(
    "keywire_push_api_calls_total",
    &["status", "route"],
    "Calls of the push API with a right secret that were answered, by route (other: no route) and class of the status.",
);

pub(super) const PUSH_API_SECRETS: Metric = counter(
    "keywire_push_api_refused_secrets_total",
    &["kind"],
    "Calls of the push API that were refused for their secret (missing, wrong, throttled: too many wrong ones of an address).",
);

/// From an operation in memory to a call that waits for an external timeout.
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
