//! Compiles and runs the code of README and docs as an outside crate would.

#[cfg(all(doctest, feature = "jwt", feature = "redis", feature = "serve", feature = "warp"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "jwks", feature = "warp"))]
#[doc = include_str!("../docs/authentication.md")]
struct Authentication;

#[cfg(all(doctest, feature = "metrics"))]
#[doc = include_str!("../docs/observability.md")]
struct Observability;

#[cfg(doctest)]
#[doc = include_str!("../docs/proxies.md")]
struct Proxies;

#[cfg(doctest)]
#[doc = include_str!("../docs/delivery.md")]
struct Delivery;

#[cfg(doctest)]
#[doc = include_str!("../docs/cluster.md")]
struct Cluster;

#[cfg(doctest)]
#[doc = include_str!("../docs/push-api.md")]
struct PushApi;

#[cfg(doctest)]
#[doc = include_str!("../docs/groups.md")]
struct Groups;
