use std::net::SocketAddr;

/// Where a request comes from, as an extension of it.
///
/// `keywire::serve` gives it to each request, and keywire's adapters look for it. In filters and handlers of your own it
/// is `warp::ext::optional::<keywire::adapter::PeerAddr>()`, where `warp::addr::remote()` knows only of warp's own server, or
/// `Option<axum::Extension<keywire::adapter::PeerAddr>>`. A server of your own may set it as well.
///
/// It is the address of the socket, so of the proxy if there is one. [`Session::peer`](crate::Session::peer) is past
/// the proxies that are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);
