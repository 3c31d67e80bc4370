use std::time::Duration;

/// What a connection may cost before it is a session, and how long an end may take.
///
/// ```
/// use std::time::Duration;
///
/// use keywire::ServeConfig;
///
/// let config = ServeConfig { grace: Duration::from_secs(30), ..ServeConfig::default() };
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// How many connections there may be at the same time: 10,000. Further ones wait in the system's queue until one
    /// ends. A session of keywire's does not count here any more: [`Door::sessions`](crate::Door::sessions) is for
    /// those. File descriptors are needed for both.
    pub connections: usize,
    /// How long a client may take for the head of a request, from when it connects or from the first byte of a
    /// further request: 10 s. Then the connection is cut.
    pub head_timeout: Duration,
    /// How long a connection may stay open between two requests: 75 s. More than the 60 s of most proxies in front of it, so
    /// that it is they who close a connection that they no longer use.
    pub idle_timeout: Duration,
    /// How long a client may send nothing of a body that a service waits for, or take nothing of an answer: 30 s. The
    /// service sees the first as an error of the body, the second cuts the connection.
    pub stall_timeout: Duration,
    /// The largest head of a request: 32 KiB, which is 431 beyond that. More than 100 headers are as well.
    pub head_bytes: usize,
    /// After how long a silence the system asks whether the peer is still there (TCP keep-alive): 60 s, and three times
    /// more every 15 s. Sessions have pings besides.
    pub tcp_keepalive: Duration,
    /// How long sessions and requests may take to end, when the server does: 30 s. Give a service manager a second
    /// more than that before it kills.
    pub grace: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            head_bytes: 32 * 1024,
            tcp_keepalive: Duration::from_secs(60),
            grace: Duration::from_secs(30),
        }
    }
}
