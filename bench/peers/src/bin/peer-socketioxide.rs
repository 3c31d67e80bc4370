//! socketioxide behind axum: a room for each key. It speaks Socket.IO. A payload includes the Socket.IO packet
//! around it, so it is as long as those of the other servers.

use std::hash::{BuildHasher as _, RandomState};

use axum::Router;
use clap::Parser as _;
use keywire_bench::server::Options;
use keywire_bench::wire::{self, Command, Random};
use keywire_bench_peers::pause;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef};
use tokio::net::TcpListener;

/// The bytes of `42["m","` and `"]` around a text.
const AROUND: usize = 10;
/// As in the other bench servers: slow readers are not measured.
const QUEUE: usize = 65_536;

#[derive(Deserialize)]
struct Asked {
    body: Value,
    id: Value,
}

#[derive(Serialize)]
struct Push {
    code: &'static str,
    msg: &'static str,
    data: Value,
    id: Value,
}

fn main() {
    let options = Options::parse();
    let listen = options.listen;
    let runtime = options.runtime();
    let server = runtime.spawn(async move {
        let (layer, io) = SocketIo::builder().max_buffer_size(QUEUE).build_layer();
        io.ns("/", connected);
        let listener = TcpListener::bind(listen).await?;
        axum::serve(listener, Router::new().layer(layer)).await
    });
    runtime.block_on(server).expect("the server does not panic").expect("the address is free");
}

async fn connected(socket: SocketRef) {
    let query = socket.req_parts().uri.query().unwrap_or_default();
    let key = query.split('&').find_map(|pair| pair.strip_prefix("user=")).unwrap_or_default().to_owned();
    socket.join(key);
    // Replies are sent before the future: it becomes a task, and tasks overtake each other.
    socket.on("m", |socket: SocketRef, io: SocketIo, Data(text): Data<String>| {
        let command = Command::parse(&text);
        if command.is_none() {
            let _ = socket.emit("m", &text);
        }
        async move {
            if let Some(command) = command {
                spread(&io, command).await;
            }
        }
    });
    socket.on("command", |socket: SocketRef, Data(asked): Data<Asked>| {
        let Asked { body, id } = asked;
        let _ = socket.emit("push", &Push { code: "01", msg: "", data: body, id });
        std::future::ready(())
    });
}

async fn spread(io: &SocketIo, command: Command) {
    match command {
        Command::Broadcast { count, size } | Command::BroadcastMany { count, size } => {
            for number in 0..count {
                let _ = io.emit("m", &wire::framed_message(number, "*", size, AROUND)).await;
                pause(number).await;
            }
        }
        Command::Push { count, size, keys } | Command::PushMany { count, size, keys } => {
            let mut random = Random::new(RandomState::new().hash_one(count));
            for number in 0..count {
                let key = format!("user{}", random.below(keys));
                let text = wire::framed_message(number, &key, size, AROUND);
                let _ = io.to(key).emit("m", &text).await;
                pause(number).await;
            }
        }
    }
}
