//! TLS takes bytes before the socket does. What it holds has the time limits of a write.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use keywire::Hub;
use keywire::auth::RawKey;
use keywire::serve::ServeConfig;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use super::localhost;
use crate::support::{Over, Raw, events, within};

fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Small buffers, so that the rest of the answer stays with TLS.
    socket.set_send_buffer_size(2048).expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a socket");
    socket
}

#[tokio::test]
async fn an_answer_that_tls_holds_is_given_up_too() {
    let listening = socket();
    listening.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let listener = listening.listen(64).expect("a socket");
    let addr = listener.local_addr().expect("an address");
    let (tell, mut asked) = events();
    let answer = async move |Path(len): Path<usize>| {
        let _ = tell.send(());
        "x".repeat(len)
    };
    let router = Router::new().route("/{len}", get(answer));
    let hub = Hub::builder(RawKey::from_path()).build();
    let config = ServeConfig {
        stall_timeout: Duration::from_millis(200),
        idle_timeout: Duration::MAX,
        grace: Duration::MAX,
        ..ServeConfig::default()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = keywire::serve(listener, router).config(config).tls(localhost()).graceful(&hub, async {
        let _ = stopped.await;
    });
    let running = tokio::spawn(server.run());
    let mut lazy = Vec::new();
    // TLS holds one record. So the rest of one of these answers is in TLS alone.
    for len in (8..=256).step_by(8).map(|kib| kib * 1024) {
        let stream = within("a connection", socket().connect(addr)).await.expect("a listener");
        let mut raw = Raw::over(Over::Tls.wrap(stream).await.expect("a handshake"));
        raw.write(format!("GET /{len} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        asked.next("the request").await;
        lazy.push(raw);
    }
    stop.send(()).expect("a server");
    assert_eq!(within("the end", running).await.expect("no panic"), 0);
}
