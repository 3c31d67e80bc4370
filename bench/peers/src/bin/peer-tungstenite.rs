//! tokio-tungstenite alone, tuned: a task for each connection, a bounded queue, a read buffer of 4 KiB, Nagle's
//! algorithm off, and one flush for all waiting messages.

use clap::Parser as _;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use keywire_bench::server::Options;
use keywire_bench::wire::Command;
use keywire_bench_peers::{Users, spread};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

type All = Users<Sender<Message>>;

const READ_BUFFER: usize = 4096;
/// As in keywire's bench server: slow readers are not measured.
const QUEUE: usize = 65_536;

fn main() {
    let options = Options::parse();
    let listen = options.listen;
    let runtime = options.runtime();
    let server = runtime.spawn(async move {
        let listener = TcpListener::bind(listen).await?;
        let users = All::default();
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(connected(socket, users.clone()));
        }
    });
    let result: std::io::Result<()> = runtime.block_on(server).expect("the server does not panic");
    result.expect("the address is free");
}

/// Reads the key from the path.
struct Key<'a>(&'a mut String);

impl Callback for Key<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        let key = request.uri().path().strip_prefix("/websocket/");
        *self.0 = key.unwrap_or_default().to_owned();
        Ok(response)
    }
}

async fn connected(socket: TcpStream, users: All) {
    let _ = socket.set_nodelay(true);
    let mut key = String::new();
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let Ok(socket) = accept_hdr_async_with_config(socket, Key(&mut key), Some(config)).await else { return };
    let (own, queue) = mpsc::channel(QUEUE);
    users.write().await.insert(key.clone(), own.clone());
    let _ = serve(socket, queue, &users).await;
    users.write().await.remove(&key);
}

type Socket = WebSocketStream<TcpStream>;

async fn serve(mut socket: Socket, mut queue: Receiver<Message>, users: &All) -> Result<(), Error> {
    loop {
        tokio::select! {
            message = queue.recv() => {
                let mut next = message;
                while let Some(message) = next {
                    socket.feed(message).await?;
                    next = queue.try_recv().ok();
                }
            }
            message = socket.next() => {
                let Some(mut message) = message else { return Ok(()) };
                loop {
                    answer(&mut socket, message?, users).await?;
                    // All messages that have been read are answered before the flush.
                    match socket.next().now_or_never() {
                        Some(Some(next)) => message = next,
                        Some(None) => return Ok(()),
                        None => break,
                    }
                }
            }
        }
        socket.flush().await?;
    }
}

async fn answer(socket: &mut Socket, message: Message, users: &All) -> Result<(), Error> {
    let Message::Text(text) = message else { return Ok(()) };
    let message = |text: String| Message::Text(text.into());
    match Command::parse(&text) {
        Some(command) => {
            spread(users, command, message).await;
            Ok(())
        }
        None => socket.feed(message(keywire_bench_peers::answer(&text))).await,
    }
}
