//! axum, built like warp's chat example.

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::routing::get;
use clap::Parser as _;
use futures_util::{SinkExt as _, StreamExt as _};
use keywire_bench::server::Options;
use keywire_bench_peers::{Users, obey};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedSender};

type All = Users<UnboundedSender<Message>>;

fn main() {
    let options = Options::parse();
    let listen = options.listen;
    let runtime = options.runtime();
    let server = runtime.spawn(async move {
        let route =
            get(|Path(key): Path<String>, State(users): State<All>, upgrade: WebSocketUpgrade| async move {
                upgrade.on_upgrade(move |socket| connected(socket, key, users))
            });
        let router = Router::new().route("/websocket/{key}", route).with_state(All::default());
        let listener = TcpListener::bind(listen).await?;
        axum::serve(listener, router).await
    });
    runtime.block_on(server).expect("the server does not panic").expect("the address is free");
}

async fn connected(socket: WebSocket, key: String, users: All) {
    let (mut out, mut incoming) = socket.split();
    let (own, mut queue) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = queue.recv().await {
            if out.send(message).await.is_err() {
                break;
            }
        }
    });
    users.write().await.insert(key.clone(), own.clone());
    while let Some(Ok(message)) = incoming.next().await {
        if let Message::Text(text) = message {
            obey(&users, &own, &text, |text| Message::Text(text.into())).await;
        }
    }
    users.write().await.remove(&key);
}
