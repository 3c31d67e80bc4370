//! A client over tokio-tungstenite, which shares no code with keywire.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use keywire::Hub;
use keywire::adapter::{Connection, Handshake, PathKey};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Wire, within};

pub(crate) struct Client<S = TcpStream> {
    socket: WebSocketStream<S>,
    pub(crate) response: Response,
}

/// The close frame that ended a connection. Its code is 1005 if it had none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl End {
    fn of(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self { code: frame.code.into(), reason: frame.reason.as_str().to_owned() },
            None => Self { code: 1005, reason: String::new() },
        }
    }
}

pub(crate) fn request(addr: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = format!("ws://{addr}{path}").into_client_request().expect("an address");
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a header's value"));
    }
    request
}

impl Client {
    pub(crate) async fn connect(
        addr: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let stream = within("a connection", TcpStream::connect(addr)).await?;
        Self::open(stream, request(addr, path, headers)).await
    }

    /// Breaks the connection off with a TCP reset.
    pub(crate) fn reset(self) {
        let stream = self.socket.into_inner();
        stream.set_zero_linger().expect("a socket");
    }
}

impl Client<DuplexStream> {
    /// A session over a pipe, to which only its own task writes. It takes no time if time is paused.
    pub(crate) async fn piped(hub: &Hub, key: &str) -> Self {
        let head = request(([127, 0, 0, 1], 1).into(), "/", &[]);
        let upgrade = hub.upgrade(Handshake::new(head).with_path_key(PathKey::decoded(key))).await;
        Self::over_pipe(upgrade.connection.expect("an upgrade")).await
    }

    pub(crate) async fn over_pipe(connection: Connection) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(connection.run(near, Bytes::new()));
        Self::upgraded(far).await
    }
}

impl Client<Wire> {
    pub(crate) async fn over(stream: Wire, path: &str) -> Result<Self, Error> {
        let addr = stream.tcp().peer_addr()?;
        Self::open(stream, request(addr, path, &[])).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client on a stream that is a WebSocket already.
    pub(crate) async fn upgraded(stream: S) -> Self {
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        Self { socket, response: Response::default() }
    }

    async fn open(stream: S, request: Request) -> Result<Self, Error> {
        let opening = tokio_tungstenite::client_async(request, stream);
        let (socket, response) = within("the answer to an opening", opening).await?;
        Ok(Self { socket, response })
    }

    pub(crate) async fn send(&mut self, envelope: Value) {
        self.text(&envelope.to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.message(Message::text(text)).await;
    }

    pub(crate) async fn message(&mut self, message: Message) {
        within("room to send", self.socket.send(message)).await.expect("an open connection");
    }

    /// The next push.
    pub(crate) async fn next(&mut self) -> Value {
        match self.receive().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("not a push: {other:?}"),
        }
    }

    pub(crate) async fn ask(&mut self, envelope: Value) -> Value {
        self.send(envelope).await;
        self.next().await
    }

    /// The next message of any kind, without WebSocket pings and pongs.
    pub(crate) async fn receive(&mut self) -> Message {
        // One timeout in all, not one for each ping of the server.
        within("a message", async {
            loop {
                let message = self.socket.next().await;
                let message = message.expect("an open connection").expect("a connection in order");
                if !message.is_ping() && !message.is_pong() {
                    return message;
                }
            }
        })
        .await
    }

    /// Answers pings until the server closes. Returns their number.
    pub(crate) async fn pings(&mut self) -> usize {
        let mut pings = 0;
        loop {
            match within("a message", self.socket.next()).await {
                Some(Ok(message)) if message.is_ping() => pings += 1,
                Some(Ok(message)) if message.is_close() => return pings,
                other => panic!("neither a ping nor the end: {other:?}"),
            }
        }
    }

    /// Waits for a round trip: everything sent before has been handled, and everything pushed before has arrived.
    pub(crate) async fn ping(&mut self) {
        let pong = self.ask(json!({ "flag": "kw:ping", "id": "ping" })).await;
        assert_eq!(pong, json!({ "code": "00", "msg": "", "flag": "kw:pong", "id": "ping" }));
    }

    /// The server's close frame as the next message, and the clean end of the stream after it.
    pub(crate) async fn end(&mut self) -> End {
        match self.receive().await {
            Message::Close(frame) => self.ended(frame).await,
            other => panic!("not the end: {other:?}"),
        }
    }

    /// The remaining pushes, and the end after them.
    pub(crate) async fn rest(&mut self) -> (Vec<Value>, End) {
        let mut pushes = Vec::new();
        loop {
            match self.receive().await {
                Message::Close(frame) => return (pushes, self.ended(frame).await),
                Message::Text(text) => pushes.push(serde_json::from_str(&text).expect("JSON")),
                other => panic!("not a push: {other:?}"),
            }
        }
    }

    async fn ended(&mut self, frame: Option<CloseFrame>) -> End {
        // Reading answers the close frame. A reset is an error here.
        let after = within("the end of the stream", self.socket.next()).await;
        assert!(after.is_none(), "after the close frame: {after:?}");
        End::of(frame)
    }

    /// Closes with a code and reads the server's answer.
    pub(crate) async fn close(&mut self, code: u16, reason: &str) -> End {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        within("room to close", self.socket.close(Some(frame))).await.expect("an open connection");
        self.rest().await.1
    }
}
