//! A server with the API, and a client of it.

use std::net::SocketAddr;

use keywire::Hub;
use keywire::adapter::push_api::PushApi;
use keywire::auth::RawKey;
use keywire::log::MemoryLog;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use warp::Filter as _;

use crate::support::{Client, Head, Raw};

pub(crate) const SECRET: &str = "an-old-secret-of-32-characters-01";

/// Each route, with a method that it has.
pub(crate) const ROUTES: [&str; 10] = [
    "POST /push/alice",
    "POST /push",
    "POST /broadcast",
    "POST /groups/a",
    "GET /sessions/alice",
    "DELETE /sessions/alice",
    "GET /presence/alice",
    "GET /stats",
    "GET /openapi.json",
    "GET /unknown",
];

pub(crate) struct Api {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    running: JoinHandle<usize>,
}

/// A hub with a log.
pub(crate) fn hub() -> Hub {
    Hub::builder(RawKey::from_path()).log(MemoryLog::new()).build()
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(hub(), |api| api).await
    }

    pub(crate) async fn start_with(hub: Hub, set: impl FnOnce(PushApi) -> PushApi) -> Self {
        let api = set(PushApi::new(hub.clone(), [SECRET]).expect("a good secret"));
        Self::start_api(hub, api).await
    }

    pub(crate) async fn start_api(hub: Hub, api: PushApi) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
            .or(keywire::adapter::warp::push_api("api", api));
        let running = tokio::spawn(keywire::serve(listener, warp::service(routes)).run());
        Self { addr, hub, running }
    }

    /// A tab of this user, in the store.
    pub(crate) async fn tab(&self, key: &str) -> Client {
        let tab = Client::connect(self.addr, &format!("/websocket/{key}"), &[]).await;
        let mut tab = tab.expect("an upgrade");
        tab.ping().await;
        tab
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.post_text(path, &body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> (u16, Value) {
        let answer = self.ask(&format!("POST {path}"), &["Content-Type: application/json"], body).await;
        (answer.status, answer.json())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.ask(&format!("GET {path}"), &[], "").await;
        (answer.status, answer.json())
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        let answer = self.ask(&format!("DELETE {path}"), &[], "").await;
        (answer.status, answer.json())
    }

    /// The answer to a request with the secret. `what` is the method and the path below the API.
    pub(crate) async fn ask(&self, what: &str, headers: &[&str], body: &str) -> Head {
        let secret = format!("Authorization: Bearer {SECRET}");
        self.ask_openly(what, &[&[&*secret], headers].concat(), body).await
    }

    pub(crate) async fn ask_openly(&self, what: &str, headers: &[&str], body: &str) -> Head {
        let mut raw = Raw::connect(self.addr).await;
        raw.write(request(what, headers, body).as_bytes()).await;
        raw.head().await
    }
}

pub(crate) fn request(what: &str, headers: &[&str], body: &str) -> String {
    let (method, path) = what.split_once(' ').expect("a method and a path");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let len = body.len();
    format!("{method} /api{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n{headers}\r\n{body}")
}

/// A delivery to this many sessions of one node.
pub(crate) fn delivery(delivered: usize) -> Value {
    json!({
        "delivered": delivered, "slow": 0, "dropped": 0, "incomplete": false, "remote": "none",
        "kept": { "state": "no" },
    })
}

impl Drop for Api {
    fn drop(&mut self) {
        self.running.abort();
    }
}
