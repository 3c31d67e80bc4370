//! Limits on openings and sessions: how many, from which address, how fast.

mod address;
mod admission;
mod config;
mod eviction;
mod forwarded;
mod proxies;
mod rate;
mod session_quota;

pub(crate) use address::Address;
pub(crate) use admission::{Admission, RefusalPermit};
pub use config::{Config, SessionPolicy, SlowPolicy};
pub use proxies::{InvalidNetwork, TrustedProxies};
#[cfg(feature = "push-api")]
pub(crate) use rate::AddressRates;
pub use rate::Rate;
pub(crate) use rate::{RateLimiter, Verdict};

pub use crate::compression::Compression;

/// Limits on openings and sessions, checked before the credential. Write it with `..Limits::default()`, as
/// [`Config`](crate::Config#fields-that-come-later).
///
/// An address counts without its port. An IPv6 address counts as its /64, since that is the least that a provider gives to
/// one customer, who then has 2^64 addresses. Larger IPv6 networks have limits too, since one customer may own one or many
/// customers may share one: a /56 counts as 16 addresses, a /48 as 256.
///
/// Both limits by address are off by default. Behind a proxy all clients have one address until [`Limits::proxies`] names the
/// proxy, and so do all clients of a company behind one router. Turn the limits on once
/// [`Session::peer`](crate::Session::peer) shows the addresses that you expect:
///
/// ```
/// use std::time::Duration;
///
/// use keywire::limits::{Limits, Rate, TrustedProxies};
/// use keywire::Config;
///
/// let limits = Limits {
///     proxies: TrustedProxies::x_forwarded_for(["10.0.0.0/8", "::1"])?,
///     handshakes_per_address: Some(Rate::new(50, Duration::from_secs(5))),
///     sessions_per_address: Some(200),
///     ..Limits::default()
/// };
/// let config = Config { limits, ..Config::default() };
/// # let _ = config;
/// # Ok::<(), keywire::limits::InvalidNetwork>(())
/// ```
///
/// If the transport has no addresses, as with Unix sockets, only [`Limits::sessions`] applies. If [`Limits::proxies`] names
/// proxies, all clients without an address count as one, so a client cannot escape the limits by hiding behind a proxy.
///
/// The memory for addresses is bounded: 65,536 networks, 4 MiB. When the table is full, the most crowded networks lose entries,
/// smallest debts first. So an attacker with many addresses evicts its own entries, and clients elsewhere keep their limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Number of sessions in all. Default: 1,000,000, which only bounds the memory; lower it to what the machine can hold.
    /// Further openings are refused with 503, or close code 1013.
    pub sessions: usize,
    /// Number of sessions of one address. Default: `None`, unlimited. Further openings are refused with 429, or close code 1013, since
    /// other clients of a shared address may be the cause and leave soon.
    pub sessions_per_address: Option<usize>,
    /// Rate limit for openings of one address. Default: `None`, unlimited. Further openings are refused with 429, or close
    /// code 1013, before the origin and the credential are checked.
    pub handshakes_per_address: Option<Rate>,
    /// Proxies whose header tells the client's address. Default: none.
    pub proxies: TrustedProxies,
    #[doc(hidden)]
    pub non_exhaustive: (),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1_000_000,
            sessions_per_address: None,
            handshakes_per_address: None,
            proxies: TrustedProxies::none(),
            non_exhaustive: (),
        }
    }
}
