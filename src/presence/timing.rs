use std::time::Duration;

/// Times of presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceTiming {
    /// Time for which a key without sessions still counts as online, so that a page that is loaded again is no departure.
    /// Default: 5 s. At a shutdown it applies to all keys of the node.
    pub delay: Duration,
    /// Lease of a node: after a node was killed, its keys count as online for this time. A third of it passes between two renewals,
    /// whose cost does not depend on the number of keys. Default: 90 s. After an outage of the engine, keys do not leave if their nodes
    /// are back within this time of each other: with less than 10 s, some may be reported as gone and come.
    pub lease: Duration,
}

impl Default for PresenceTiming {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), lease: Duration::from_secs(90) }
    }
}
