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
#[doc = include_str!("../docs/messages.md")]
struct Messages;

#[cfg(doctest)]
#[doc = include_str!("../docs/sending.md")]
struct Sending;

#[cfg(doctest)]
#[doc = include_str!("../docs/stores.md")]
struct Stores;

#[cfg(all(doctest, feature = "serve", feature = "warp"))]
#[doc = include_str!("../docs/production.md")]
struct Production;

#[cfg(doctest)]
#[doc = include_str!("../docs/cluster.md")]
struct Cluster;

#[cfg(all(doctest, feature = "tls", feature = "warp"))]
#[doc = include_str!("../docs/tls.md")]
struct Tls;

#[cfg(all(doctest, feature = "push-api", feature = "warp"))]
#[doc = include_str!("../docs/push-api.md")]
struct PushApi;

#[cfg(doctest)]
#[doc = include_str!("../docs/groups.md")]
struct Groups;

#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../docs/testing.md")]
struct Testing;

#[cfg(all(doctest, feature = "axum", feature = "serve", feature = "warp"))]
#[doc = include_str!("../docs/frameworks.md")]
struct Frameworks;

#[cfg(doctest)]
#[doc = include_str!("../docs/requests.md")]
struct Requests;

#[cfg(doctest)]
#[doc = include_str!("../docs/types.md")]
struct Types;
