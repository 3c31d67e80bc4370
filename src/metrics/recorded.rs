use ::metrics::{Counter, Gauge, Histogram};

use super::handle::{counter, describe, gauge, histogram};
use super::log::LogMetrics;
use super::stopwatch::Stopwatch;
use super::table::{self, METRICS};
use crate::close::{Closed, ClosedBy};
use crate::delivery::Outcome;
use crate::limits::Config;
use crate::rejection::Rejection;
use crate::websocket::CloseCode;

/// The handles of a hub. All are registered when it is built: a message costs no lookup of a name, and what has not
/// happened yet is there as 0.
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
    dispatch: Histogram,
    handler: Histogram,
    errors: Counter,
    panics: Counter,
    timeouts: Counter,
    hook_failures: Counter,
    log: LogMetrics,
}

/// A counter for each kind of refusal. A kind of [`Rejection`] that is not counted does not compile: see
/// [`Refusals::of`].
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
    /// None: all that are not listed.
    code: Option<CloseCode>,
    count: Counter,
}

/// The codes of which each is counted by itself. A client may send 2000 others, and so may an application.
const CODES: [(ClosedBy, &[CloseCode]); 3] = [
    (
        ClosedBy::Server,
        &[
            // Cut without a close frame, as when the runtime goes away.
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
    /// With the recorder of this thread or process; where there is none, nothing is ever recorded.
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
            dispatch: histogram(&table::DISPATCH),
            handler: histogram(&table::HANDLER),
            errors: failure("error"),
            panics: failure("panic"),
            timeouts: failure("timeout"),
            hook_failures: failure("hook"),
            log: LogMetrics::register(),
        }
    }

    /// The metrics of the log of kept pushes.
    pub(crate) fn log(&self) -> &LogMetrics {
        &self.log
    }

    /// A session has entered the store, as the first of its key or not. It must be [`Metrics::closed`] once.
    pub(crate) fn opened(&self, first: bool) {
        self.opened.increment(1);
        self.sessions.increment(1);
        if first {
            self.keys.increment(1);
        }
    }

    /// The last session of a key has left the store.
    pub(crate) fn key_left(&self) {
        self.keys.decrement(1);
    }

    /// The store has this many keys. For when it has failed to say whether one came or left.
    pub(crate) fn keys(&self, keys: usize) {
        self.keys.set(keys as f64);
    }

    /// A session has ended.
    pub(crate) fn closed(&self, closed: &Closed) {
        self.sessions.decrement(1);
        // The last of each list takes all.
        let ending = self.closed.iter().find(|ending| ending.is(closed));
        if let Some(ending) = ending {
            ending.count.increment(1);
        }
    }

    /// A request was no opening.
    pub(crate) fn no_opening(&self) {
        self.refusals.no_opening.increment(1);
    }

    /// Somebody was not let in.
    pub(crate) fn refused(&self, rejection: Rejection) {
        self.refusals.of(rejection).increment(1);
    }

    /// So many bytes were read.
    pub(crate) fn read(&self, bytes: usize) {
        self.received_bytes.increment(bytes as u64);
    }

    /// A message came in.
    pub(crate) fn received(&self) {
        self.received.increment(1);
    }

    /// What became of so many messages and bytes for one session.
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

    /// A message has joined these, which wait for a socket that takes no more.
    pub(crate) fn behind(&self, messages: usize, bytes: usize, config: &Config) {
        let [messages, bytes] = [(messages, config.queue_messages), (bytes, config.queue_bytes)]
            .map(|(waiting, most)| waiting as f64 / most.max(1) as f64);
        self.queue_fill.record(messages.max(bytes));
    }

    /// An order has been given to all its recipients.
    pub(crate) fn dispatched(&self, since: Stopwatch) {
        self.dispatch.record(since.elapsed());
    }

    /// A call of the handler is over.
    pub(crate) fn handled(&self, since: Stopwatch) {
        self.handler.record(since.elapsed());
    }

    /// The handler has returned an error.
    pub(crate) fn handler_error(&self) {
        self.errors.increment(1);
    }

    /// The handler has panicked.
    pub(crate) fn handler_panic(&self) {
        self.panics.increment(1);
    }

    /// The handler has not returned in time.
    pub(crate) fn handler_timeout(&self) {
        self.timeouts.increment(1);
    }

    /// A hook from which nothing was expected has panicked or taken too long.
    pub(crate) fn hook_failed(&self) {
        self.hook_failures.increment(1);
    }
}

impl Refusals {
    fn register() -> Self {
        let kind = |kind| counter(&table::REFUSALS, &[("kind", kind)]);
        let refused = |rejection: Rejection| kind(rejection.kind());
        Self {
            // What is refused before there is anything to decide about.
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
