//! The door: how many may come, from where, and how fast.

mod address;
mod crowd;
mod doorman;
mod forwarded;
mod places;
mod proxies;
mod rate;

pub(crate) use address::Address;
pub(crate) use doorman::Doorman;
pub use proxies::{InvalidNetwork, TrustedProxies};
pub use rate::Rate;

/// What is let in, whoever it is: limits that are known before a credential is looked at.
///
/// An address is counted as one whatever its port. Of an IPv6 address the first 64 bits count, since that is
/// the least that a provider gives to one customer, who may use 2^64 addresses then. Larger networks of IPv6 have limits
/// too, since a customer may have one or share it with others: a /56 counts as 16 addresses, a /48 as 256.
///
/// Both limits for an address are off by default: behind a proxy all clients come from one address until
/// [`Door::proxies`] names it, and so does a whole company behind its router. Turn them on once
/// [`Session::peer`](crate::Session::peer) shows the addresses that you expect:
///
/// ```
/// use std::time::Duration;
///
/// use keywire::{Config, Door, Rate, TrustedProxies};
///
/// let door = Door {
///     proxies: TrustedProxies::x_forwarded_for(["10.0.0.0/8", "::1"])?,
///     handshakes_per_address: Some(Rate::new(50, Duration::from_secs(5))),
///     sessions_per_address: 200,
///     ..Door::default()
/// };
/// let config = Config { door, ..Config::default() };
/// # let _ = config;
/// # Ok::<(), keywire::InvalidNetwork>(())
/// ```
///
/// Where the transport has no addresses, as with Unix sockets, only [`Door::sessions`] counts. Where
/// [`Door::proxies`] are named, all clients without an address count as one, since a client must not escape the limits by
/// hiding behind a proxy.
///
/// What is remembered of addresses is bounded: 65,536 networks, 4 MiB. When it is full, the most crowded networks lose
/// entries, those with the smallest debts first. So an attacker with many addresses pushes out those, and the limits
/// of clients elsewhere stay as they are.
#[derive(Debug, Clone)]
pub struct Door {
    /// How many sessions there may be in all: 1,000,000, which is less a choice than a bound. Lower it to what the
    /// machine has memory for. Beyond it openings are refused with 503, or close code 1013.
    pub sessions: usize,
    /// How many sessions an address may have: any number. One more is refused with 429, or close code 1013, since
    /// it may be the neighbours' doing and over soon.
    pub sessions_per_address: usize,
    /// How many openings are looked at for an address and in which time: any number. What goes beyond is refused
    /// in the same way, before the origin and the credential are looked at.
    pub handshakes_per_address: Option<Rate>,
    /// Whose word is taken for where a client comes from: nobody's.
    pub proxies: TrustedProxies,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            sessions: 1_000_000,
            sessions_per_address: usize::MAX,
            handshakes_per_address: None,
            proxies: TrustedProxies::none(),
        }
    }
}
