use std::net::SocketAddr;

use keywire::{Hub, Session};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Client, Head, Raw, TEXT, masked, opening};

/// The frameworks that keywire has an adapter for. Tests of what an adapter does run with each of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapter {
    #[cfg(feature = "warp")]
    Warp,
    #[cfg(feature = "axum")]
    Axum,
}

impl Adapter {
    pub(crate) const ALL: &[Self] = &[
        #[cfg(feature = "warp")]
        Self::Warp,
        #[cfg(feature = "axum")]
        Self::Axum,
    ];

    /// Serves the endpoint by the framework's own server.
    fn serve(self, listener: TcpListener, path: &str, hub: Hub) -> JoinHandle<()> {
        match self {
            #[cfg(feature = "warp")]
            Self::Warp => {
                let server = warp::serve(keywire::adapter::warp::websocket(path, hub)).incoming(listener);
                tokio::spawn(server.run())
            }
            #[cfg(feature = "axum")]
            Self::Axum => {
                let router = keywire::adapter::axum::websocket(&format!("/{path}"), hub);
                let service = axum::Router::into_make_service_with_connect_info::<SocketAddr>(router);
                let server = axum::serve(listener, service);
                tokio::spawn(async move { server.await.expect("never an error") })
            }
        }
    }
}

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(hub: Hub) -> Self {
        Self::start_at("websocket", hub).await
    }

    pub(crate) async fn start_at(path: &str, hub: Hub) -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), path, hub).await
    }

    pub(crate) async fn start_on(addr: SocketAddr, path: &str, hub: Hub) -> Self {
        Self::of(Adapter::ALL[0], addr, path, hub).await
    }

    /// A server of this framework.
    pub(crate) async fn with(adapter: Adapter, path: &str, hub: Hub) -> Self {
        Self::of(adapter, SocketAddr::from(([127, 0, 0, 1], 0)), path, hub).await
    }

    async fn of(adapter: Adapter, addr: SocketAddr, path: &str, hub: Hub) -> Self {
        let listener = TcpListener::bind(addr).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let accepting = adapter.serve(listener, path, hub.clone());
        Self { addr, hub, accepting }
    }

    /// Accepts no further clients. Connections go on.
    pub(crate) fn stop(&self) {
        self.accepting.abort();
    }

    /// Connects, and waits until the session of `key` is in the store.
    pub(crate) async fn client(&self, key: &str) -> Client {
        let mut client = self.open(&format!("/websocket/{key}")).await;
        client.ping().await;
        client
    }

    /// A page that can be asked, and its session, once it is in the store.
    pub(crate) async fn page(&self, key: &str) -> (Client, Session) {
        let offer = [("sec-websocket-protocol", "keywire.v1, answers.keywire")];
        let mut client = self.open_with(&format!("/websocket/{key}"), &offer).await;
        client.ping().await;
        let session = self.hub.sessions(key).await.pop().expect("the newest session");
        (client, session)
    }

    /// Opens this path, without waiting for the session.
    pub(crate) async fn open(&self, path: &str) -> Client {
        self.open_with(path, &[]).await
    }

    pub(crate) async fn open_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Client {
        Client::connect(self.addr, path, headers).await.expect("an upgrade")
    }

    /// The answer to an opening that is refused.
    pub(crate) async fn refusal(&self, path: &str, headers: &[(&'static str, &str)]) -> Head {
        let mut raw = self.raw().await;
        raw.write(opening(path, headers).as_bytes()).await;
        let head = raw.head().await;
        assert_ne!(head.status, 101, "{path} is not refused");
        head
    }

    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(self.addr).await
    }

    /// An open session over raw TCP, in the store.
    pub(crate) async fn raw_session(&self, key: &str) -> Raw {
        let mut raw = self.raw().await;
        raw.write(opening(&format!("/websocket/{key}"), &[]).as_bytes()).await;
        assert_eq!(raw.head().await.status, 101);
        raw.write(&masked(TEXT, br#"{"flag":"kw:ping"}"#)).await;
        let pong = raw.frame().await.expect("a pong");
        assert_eq!(pong.text(), r#"{"code":"00","msg":"","flag":"kw:pong"}"#);
        raw
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
