use std::time::Duration;

/// Limits for connections before they become sessions, and the time that an end may take.
///
/// `None` is no limit. All other limits always apply, and any value is accepted: as in [`Config`](crate::Config#no-limit).
///
/// ```
/// use std::time::Duration;
///
/// use keywire::serve::ServeConfig;
///
/// let config = ServeConfig { grace: Duration::from_secs(30), ..ServeConfig::default() };
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Number of connections at the same time. Default: 10,000. Sessions of keywire do not count:
    /// [`Limits::sessions`](crate::limits::Limits::sessions) limits those. File descriptors are needed for both, and for 256
    /// connections that wait for a permit.
    ///
    /// When the limit is reached, a new connection replaces the connection that has been idle for the longest time. If none
    /// is idle, it replaces a connection whose client has not finished its request or does not read its answer, and whose
    /// address holds more connections than that of the new one. A request that the service works on is never cut. So one
    /// address cannot keep all others out, and behind a proxy, where all connections have one address, no request is cut
    /// for another.
    pub connections: usize,
    /// Number of connections of one address, where an IPv6 address counts as its /64. Default: `None`, unlimited. One connection
    /// more is closed at once. Leave it off behind a proxy. Use it if requests take long on your side (long polling,
    /// server-sent events), because [`ServeConfig::connections`] replaces only connections that wait for a client.
    pub connections_per_address: Option<usize>,
    /// Time for the head of a request, from the connection or from the first byte of a
    /// further request. Default: 10 s. Then the connection is cut.
    pub head_timeout: Duration,
    /// Time between two requests on a connection. Default: 75 s. This is more than the 60 s of most proxies, so
    /// that the proxy closes a connection that it no longer uses.
    pub idle_timeout: Duration,
    /// Time without progress of a body that a service waits for, or of an answer. Default: 30 s. The
    /// service gets an error from the body. The connection of the answer is cut.
    pub stall_timeout: Duration,
    /// Lowest rate of a body or an answer, averaged over [`ServeConfig::stall_timeout`]. Default: 500 bytes/s. Only time in
    /// which the server waits for the client counts. A slower client has stalled. `None`: any rate.
    pub min_bytes_per_second: Option<u32>,
    /// Largest head of a request. Default: 32 KiB. A larger head gets 431, as do more than 100 headers. What unfinished
    /// heads have beyond 8 KiB is limited to 16 MiB for all connections together. A longer head that comes then ends
    /// its connection.
    pub head_bytes: usize,
    /// Silence after which the system asks whether the peer is still there (TCP keep-alive). Default: 60 s, and three times
    /// more every 15 s. Sessions have pings besides. `None`: off. The time is rounded to what the system can do,
    /// from 1 s to 9 hours.
    pub tcp_keepalive: Option<Duration>,
    /// Time for sessions and requests to end when the server ends. Default: 30 s. Give a service manager a second
    /// more than that before it kills.
    pub grace: Duration,
    #[doc(hidden)]
    pub non_exhaustive: (),
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: None,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            min_bytes_per_second: Some(500),
            head_bytes: 32 * 1024,
            tcp_keepalive: Some(Duration::from_secs(60)),
            grace: Duration::from_secs(30),
            non_exhaustive: (),
        }
    }
}
