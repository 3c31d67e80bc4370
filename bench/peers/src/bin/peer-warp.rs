//! warp, built like its chat example.

use clap::Parser as _;
use futures_util::{SinkExt as _, StreamExt as _};
use keywire_bench::server::Options;
use keywire_bench_peers::{Users, obey};
use tokio::sync::mpsc::{self, UnboundedSender};
use warp::Filter as _;
use warp::ws::{Message, WebSocket};

type All = Users<UnboundedSender<Message>>;

fn main() {
    let options = Options::parse();
    let listen = options.listen;
    let runtime = options.runtime();
    let server = runtime.spawn(async move {
        let users = All::default();
        let users = warp::any().map(move || users.clone());
        let route = warp::path!("websocket" / String).and(warp::ws()).and(users).map(
            |key: String, ws: warp::ws::Ws, users: All| {
                ws.on_upgrade(move |socket| connected(socket, key, users))
            },
        );
        warp::serve(route).run(listen).await;
    });
    runtime.block_on(server).expect("the server does not panic");
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
        if let Ok(text) = message.to_str() {
            obey(&users, &own, text, Message::text).await;
        }
    }
    users.write().await.remove(&key);
}
