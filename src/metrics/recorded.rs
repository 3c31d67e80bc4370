use ::metrics::{Counter, Gauge, Histogram};

use super::cluster::ClusterMetrics;
use super::handle::{counter, describe, gauge, histogram};
use super::log::LogMetrics;
use super::push_api::PushApiMetrics;
use super::stopwatch::Stopwatch;
use super::table::{self, METRICS};
use crate::close::{Closed, ClosedBy};
use crate::delivery::Outcome;
use crate::limits::Config;
use crate::rejection::Rejection;
use crate::websocket::CloseCode;

/// Handles of a hub's metrics. They are registered when the hub is built, so that a message needs no lookup of a name and every
/// series starts at 0.
pub(crate) struct Metrics {
    sessions: Gauge,
    keys: Gauge,
    opened: Counter,
    closed: Vec<Ending>,
    refusals: Refusals,
    received: Counter,
    received_bytes: Counter,
    sent: Counter,
    sent_bytes: Counter,
    queue_fill: Histogram,
    slow_closes: Counter,
    dropped: Counter,
    answers_ignored: Counter,
    dispatch: Histogram,
    handler: Histogram,
    errors: Counter,
    panics: Counter,
    timeouts: Counter,
    hook_failures: Counter,
    log: LogMetrics,
    cluster: ClusterMetrics,
    push_api: PushApiMetrics,
}

/// One counter for each kind of refusal. [`Refusals::of`] makes a [`Rejection`] without a counter a compile error.
struct Refusals {
    no_opening: Counter,
    missing: Counter,
    invalid: Counter,
    expired: Counter,
    not_yet: Counter,
    malformed: Counter,
    ambiguous: Counter,
    forbidden: Counter,
    too_many: Counter,
    throttled: Counter,
    unavailable: Counter,
}

/// A way for a session to end.
struct Ending {
    by: ClosedBy,
    /// `None`: all codes that are not listed.
    code: Option<CloseCode>,
    count: Counter,
}

/// Codes with their own counter. Clients and applications may send 2000 others, which share one counter.
const CODES: [(ClosedBy, &[CloseCode]); 3] = [
    (
        ClosedBy::Server,
        &[
            // The connection ends without a close frame, for example when the runtime shuts down.
            CloseCode::ABNORMAL,
            CloseCode::NORMAL,
            CloseCode::GOING_AWAY,
            CloseCode::PROTOCOL_ERROR,
            CloseCode::UNSUPPORTED,
            CloseCode::INVALID_DATA,
            CloseCode::POLICY,
            CloseCode::TOO_BIG,
            CloseCode::INTERNAL,
            CloseCode::RESTART,
            CloseCode::TRY_AGAIN,
            CloseCode::EXPIRED,
            CloseCode::NO_PONG,
            CloseCode::TOO_SLOW,
            CloseCode::TOO_MANY_MESSAGES,
            CloseCode::DRAIN,
            CloseCode::UNAUTHENTICATED,
            CloseCode::FORBIDDEN,
            CloseCode::REPLACED,
            CloseCode::DISCONNECTED,
            CloseCode::TOO_MANY_SESSIONS,
            CloseCode::OTHER_KEY,
        ],
    ),
    (
        ClosedBy::Peer,
        &[
            CloseCode::NORMAL,
            CloseCode::GOING_AWAY,
            CloseCode::PROTOCOL_ERROR,
            CloseCode::UNSUPPORTED,
            CloseCode::NO_STATUS,
            CloseCode::INVALID_DATA,
            CloseCode::POLICY,
            CloseCode::TOO_BIG,
            CloseCode::INTERNAL,
        ],
    ),
    (ClosedBy::Network, &[CloseCode::ABNORMAL]),
];

impl Metrics {
    /// Registers with the recorder of this thread or process. Without a recorder, nothing is recorded.
    pub(crate) fn register() -> Self {
        METRICS.into_iter().for_each(describe);
        let direction = |metric, direction| counter(metric, &[("direction", direction)]);
        let failure = |kind| counter(&table::HANDLER_FAILURES, &[("kind", kind)]);
        Self {
            sessions: gauge(&table::SESSIONS),
            keys: gauge(&table::KEYS),
            opened: counter(&table::OPENED, &[]),
            closed: CODES.into_iter().flat_map(|(by, codes)| Ending::register(by, codes)).collect(),
            refusals: Refusals::register(),
            received: direction(&table::MESSAGES, "in"),
            received_bytes: direction(&table::BYTES, "in"),
            sent: direction(&table::MESSAGES, "out"),
            sent_bytes: direction(&table::BYTES, "out"),
            queue_fill: histogram(&table::QUEUE_FILL),
            slow_closes: counter(&table::SLOW_CLOSES, &[]),
            dropped: counter(&table::DROPPED, &[]),
            answers_ignored: counter(&table::ANSWERS_IGNORED, &[]),
            dispatch: histogram(&table::DISPATCH),
            handler: histogram(&table::HANDLER),
            errors: failure("error"),
            panics: failure("panic"),
            timeouts: failure("timeout"),
            hook_failures: failure("hook"),
            log: LogMetrics::register(),
            cluster: ClusterMetrics::register(),
            push_api: PushApiMetrics::register(),
        }
    }

    /// Metrics of the node in its cluster.
    pub(crate) fn cluster(&self) -> &ClusterMetrics {
        &self.cluster
    }

    /// Metrics of the push API.
    #[cfg_attr(not(feature = "push-api"), expect(dead_code, reason = "there are no calls"))]
    pub(crate) fn push_api(&self) -> &PushApiMetrics {
        &self.push_api
    }

    /// Metrics of the log of kept pushes.
    pub(crate) fn log(&self) -> &LogMetrics {
        &self.log
    }

    /// Records a session that has entered the store. `first`: it is the first session of its key. Call [`Metrics::closed`] once for
    /// it.
    pub(crate) fn opened(&self, first: bool) {
        self.opened.increment(1);
        self.sessions.increment(1);
        if first {
            self.keys.increment(1);
        }
    }

    /// Records that the last session of a key has left the store.
    pub(crate) fn key_left(&self) {
        self.keys.decrement(1);
    }

    /// Sets the number of keys in the store. Needed after the store has failed to report whether a key was added or removed.
    pub(crate) fn keys(&self, keys: usize) {
        self.keys.set(keys as f64);
    }

    /// Records a session that has ended.
    pub(crate) fn closed(&self, closed: &Closed) {
        self.sessions.decrement(1);
        // The last ending of each list matches all codes.
        let ending = self.closed.iter().find(|ending| ending.is(closed));
        if let Some(ending) = ending {
            ending.count.increment(1);
        }
    }

    /// Records a request that is not a WebSocket opening.
    pub(crate) fn no_opening(&self) {
        self.refusals.no_opening.increment(1);
    }

    /// Records a refused opening.
    pub(crate) fn refused(&self, rejection: Rejection) {
        self.refusals.of(rejection).increment(1);
    }

    /// Records bytes read from a socket.
    pub(crate) fn read(&self, bytes: usize) {
        self.received_bytes.increment(bytes as u64);
    }

    /// Records a message from a client.
    pub(crate) fn received(&self) {
        self.received.increment(1);
    }

    /// Records an answer that no request was waiting for.
    pub(crate) fn answer_ignored(&self) {
        self.answers_ignored.increment(1);
    }

    /// Records the outcome of sending this many messages and bytes to one session.
    pub(crate) fn sent(&self, outcome: Outcome, messages: usize, bytes: usize) {
        match outcome {
            Outcome::Accepted | Outcome::Displaced(_) => {
                self.sent.increment(messages as u64);
                self.sent_bytes.increment(bytes as u64);
                if let Outcome::Displaced(older) = outcome {
                    self.dropped.increment(older as u64);
                }
            }
            Outcome::Dropped(messages) => self.dropped.increment(messages as u64),
            Outcome::Slow => self.slow_closes.increment(1),
            Outcome::Gone => {}
        }
    }

    /// Records the fill of a queue whose socket accepts no more bytes, after a message was added.
    pub(crate) fn behind(&self, messages: usize, bytes: usize, config: &Config) {
        let [messages, bytes] = [(messages, config.queue_messages), (bytes, config.queue_bytes)]
            .map(|(waiting, most)| waiting as f64 / most.max(1) as f64);
        self.queue_fill.record(messages.max(bytes));
    }

    /// Records that an order was applied to all its recipients.
    pub(crate) fn dispatched(&self, since: Stopwatch) {
        self.dispatch.record(since.elapsed());
    }

    /// Records a handler call that has ended.
    pub(crate) fn handled(&self, since: Stopwatch) {
        self.handler.record(since.elapsed());
    }

    /// Records an error from the handler.
    pub(crate) fn handler_error(&self) {
        self.errors.increment(1);
    }

    /// Records a panic of the handler.
    pub(crate) fn handler_panic(&self) {
        self.panics.increment(1);
    }

    /// Records a timeout of the handler.
    pub(crate) fn handler_timeout(&self) {
        self.timeouts.increment(1);
    }

    /// Records a panic or a timeout of a hook without a result.
    pub(crate) fn hook_failed(&self) {
        self.hook_failures.increment(1);
    }
}

impl Refusals {
    fn register() -> Self {
        let kind = |kind| counter(&table::REFUSALS, &[("kind", kind)]);
        let refused = |rejection: Rejection| kind(rejection.kind());
        Self {
            // Not a rejection: the request is refused before anything is decided.
            no_opening: kind("no_opening"),
            missing: refused(Rejection::Missing),
            invalid: refused(Rejection::Invalid),
            expired: refused(Rejection::Expired),
            not_yet: refused(Rejection::NotYet),
            malformed: refused(Rejection::Malformed),
            ambiguous: refused(Rejection::Ambiguous),
            forbidden: refused(Rejection::Forbidden),
            too_many: refused(Rejection::TooMany),
            throttled: refused(Rejection::Throttled),
            unavailable: refused(Rejection::Unavailable),
        }
    }

    fn of(&self, rejection: Rejection) -> &Counter {
        match rejection {
            Rejection::Missing => &self.missing,
            Rejection::Invalid => &self.invalid,
            Rejection::Expired => &self.expired,
            Rejection::NotYet => &self.not_yet,
            Rejection::Malformed => &self.malformed,
            Rejection::Ambiguous => &self.ambiguous,
            Rejection::Forbidden => &self.forbidden,
            Rejection::TooMany => &self.too_many,
            Rejection::Throttled => &self.throttled,
            Rejection::Unavailable => &self.unavailable,
        }
    }
}

impl Ending {
    fn register(by: ClosedBy, codes: &'static [CloseCode]) -> impl Iterator<Item = Self> {
        let name = match by {
            ClosedBy::Peer => "peer",
            ClosedBy::Server => "server",
            ClosedBy::Network => "network",
        };
        codes.iter().copied().map(Some).chain([None]).map(move |code| {
            let label = code.map_or_else(|| "other".to_owned(), |code| code.to_string());
            let count = counter(&table::CLOSED, &[("by", name), ("code", &label)]);
            Self { by, code, count }
        })
    }

    fn is(&self, closed: &Closed) -> bool {
        self.by == closed.by && self.code.is_none_or(|code| code == closed.code)
    }
}
