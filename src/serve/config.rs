use std::time::Duration;

/// Limits for connections before they become sessions, and the time limit of a shutdown.
///
/// `None` is no limit. All other limits always apply, and any value is accepted, as in [`Config`](crate::Config#no-limit).
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
    /// Number of simultaneous connections. Default: 10,000. Sessions of keywire do not count:
    /// [`Limits::sessions`](crate::limits::Limits::sessions) limits them. Provide file descriptors for both, and for 256 connections
    /// that wait for a permit.
    ///
    /// When the limit is reached, a new connection replaces the connection that has been idle for the longest time. If no connection
    /// is idle, the new connection replaces one whose client has not finished its request or does not read the response, and whose
    /// address holds more connections than the new connection's address. A request that the service works on is never cut. So one
    /// address cannot keep all others out. Behind a proxy, where all connections have one address, no request is cut for another.
    pub connections: usize,
    /// Number of connections of one address. An IPv6 address counts as its /64. Default: `None`, unlimited. A connection beyond the
    /// limit is closed at once. Leave the limit off behind a proxy. Set it if requests take long on your side (long polling,
    /// server-sent events), since [`ServeConfig::connections`] replaces only connections that wait for a client.
    pub connections_per_address: Option<usize>,
    /// Timeout for the head of a request, from the connection or from the first byte of a later request. Default: 10 s. A connection
    /// that exceeds it is cut. A TLS handshake has the same timeout, before that of the head.
    pub head_timeout: Duration,
    /// Timeout between two requests on a connection. Default: 75 s. This is more than the 60 s of most proxies, so that the proxy
    /// closes unused connections first.
    pub idle_timeout: Duration,
    /// Timeout without progress of a request body that the service waits for, or of a response. Default: 30 s. A stalled body
    /// returns an error to the service. The connection of a stalled response is cut.
    pub stall_timeout: Duration,
    /// Lowest rate of a request body or a response, averaged over [`ServeConfig::stall_timeout`]. Default: 500 bytes/s. Only time in
    /// which the server waits for the client counts. A slower client counts as stalled. `None`: any rate.
    pub min_bytes_per_second: Option<u32>,
    /// Largest head of a request, in bytes. Default: 32 KiB. A larger head, or one with more than 100 headers, gets status 431. The
    /// excess of incomplete heads over 8 KiB is limited to 16 MiB for all connections together. A head that exceeds this limit ends
    /// its connection.
    pub head_bytes: usize,
    /// Silence after which the system probes the peer (TCP keep-alive). Default: 60 s, then three more probes every 15 s. Sessions
    /// also have pings. `None`: off. The time is limited to what the system supports, from 1 s to 9 hours.
    pub tcp_keepalive: Option<Duration>,
    /// Timeout for sessions and requests to end at a shutdown. Default: 30 s. Let the service manager wait at least 1 s longer before
    /// it kills the process.
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
