//! `keywire::serve`: a server that clients cannot wear down, and that ends in order.
#![cfg(all(feature = "serve", feature = "warp"))]

mod adapters;
#[cfg(unix)]
mod alike;
#[cfg(target_os = "linux")]
mod descriptors;
mod queue;
mod services;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;

/// Cases that hold over TLS too, and with any way to open a session. Each file is compiled once for each, so that they cannot differ.
macro_rules! cases {
    ($over:expr, $by:expr) => {
        #[path = "ends.rs"]
        mod ends;
        #[path = "limits.rs"]
        mod limits;
        #[path = "places.rs"]
        mod places;
        #[path = "times.rs"]
        mod times;

        const OVER: crate::support::Over = $over;

        async fn start(config: keywire::serve::ServeConfig) -> crate::Served {
            crate::Served::start_over(OVER, $by, config).await
        }
    };
}

#[allow(clippy::duplicate_mod, reason = "the same cases")]
#[path = "."]
mod plain {
    cases!(crate::support::Over::Plain, crate::By::Adapter);
}

#[allow(clippy::duplicate_mod, reason = "the same cases")]
#[path = "."]
mod plain_endpoint {
    cases!(crate::support::Over::Plain, crate::By::Server);
}

#[cfg(feature = "tls")]
#[allow(clippy::duplicate_mod, reason = "the same cases")]
#[path = "."]
mod over_tls {
    cases!(crate::support::Over::Tls, crate::By::Adapter);
}

#[cfg(feature = "tls")]
#[allow(clippy::duplicate_mod, reason = "the same cases")]
#[path = "."]
mod endpoint_over_tls {
    cases!(crate::support::Over::Tls, crate::By::Server);
}

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use keywire::auth::RawKey;
use keywire::serve::ServeConfig;
use keywire::{Envelope, Hub, Session, Switch};
use support::{Client, Events, Over, Raw, Wire, events};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use warp::Filter;
use warp::filters::BoxedFilter;

/// What opens sessions.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// A route of the service.
    Adapter,
    /// `Serve::websocket`.
    Server,
}

/// A server of sessions and of some routes, until it is told to stop.
struct Served {
    over: Over,
    addr: SocketAddr,
    hub: Hub,
    /// Tells of each request for `/slow` and of each command.
    asked: Events<()>,
    /// Lets one of them have an answer.
    answer: Arc<Notify>,
    stop: oneshot::Sender<()>,
    /// How many connections were cut.
    running: JoinHandle<usize>,
}

impl Served {
    async fn start(config: ServeConfig) -> Self {
        Self::start_over(Over::Plain, By::Adapter, config).await
    }

    async fn start_over(over: Over, by: By, config: ServeConfig) -> Self {
        let (tell, asked) = events();
        let asking = tell.clone();
        let stuck = move |_: Session, _: Envelope| {
            let _ = asking.send(());
            pending::<keywire::HandlerResult>()
        };
        let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().command(stuck)).build();
        let answer = Arc::new(Notify::new());
        let routes = routes(hub.clone(), tell, answer.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let server = keywire::serve(listener, warp::service(routes)).config(config).graceful(&hub, async {
            let _ = stopped.await;
        });
        let server = match by {
            By::Adapter => server,
            By::Server => server.websocket("/websocket", &hub),
        };
        let server = match over {
            Over::Plain => server,
            #[cfg(feature = "tls")]
            Over::Tls => server.tls(tls::localhost()),
            #[cfg(not(feature = "tls"))]
            Over::Tls => unreachable!("a test of the feature"),
        };
        Self { over, addr, hub, asked, answer, stop, running: tokio::spawn(server.run()) }
    }

    async fn raw(&self) -> Raw {
        self.try_raw().await.expect("a connection")
    }

    async fn try_raw(&self) -> Option<Raw> {
        self.over.connect(self.addr).await.ok().map(Raw::over)
    }

    async fn raw_from(&self, address: &str) -> Raw {
        Raw::over_from(self.over, address, self.addr).await
    }

    /// A connection on which a request has been answered.
    async fn kept(&self) -> Raw {
        let mut raw = self.raw().await;
        assert_eq!(raw.get("/hello").await.body, "hello");
        raw
    }

    async fn client(&self, key: &str) -> Client<Wire> {
        let stream = self.over.connect(self.addr).await.expect("a connection");
        let mut client = Client::over(stream, &format!("/websocket/{key}")).await.expect("an upgrade");
        client.ping().await;
        client
    }

    /// Somebody who waits for the answer to a request.
    async fn waiting(&mut self) -> Raw {
        let mut raw = self.raw().await;
        raw.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        self.asked.next("the request").await;
        raw
    }
}

fn routes(
    hub: Hub,
    tell: mpsc::UnboundedSender<()>,
    answer: Arc<Notify>,
) -> BoxedFilter<(impl warp::Reply + use<>,)> {
    let slow = move || {
        let (tell, answer) = (tell.clone(), answer.clone());
        async move {
            let _ = tell.send(());
            answer.notified().await;
            "at last"
        }
    };
    keywire::adapter::warp::websocket("websocket", hub)
        .or(warp::path!("hello").map(|| "hello"))
        .or(warp::path!("much").map(|| vec![b'x'; 64 << 20]))
        .or(warp::path!("length").and(warp::body::bytes()).map(|body: bytes::Bytes| body.len().to_string()))
        .or(warp::path!("slow").then(slow))
        .boxed()
}
