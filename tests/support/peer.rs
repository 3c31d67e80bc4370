//! A server that writes bytes, for clients.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::within;

pub(crate) struct PeerListener {
    listener: TcpListener,
    pub(crate) url: String,
}

/// The server's side of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl PeerListener {
    pub(crate) fn bind() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // A small buffer, so that little is in flight while nothing is read.
        socket.set_recv_buffer_size(16 * 1024).expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = socket.listen(64).expect("a socket");
        let url = format!("ws://{}/websocket", listener.local_addr().expect("an address"));
        Self { listener, url }
    }

    /// The next connection, upgraded.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = within("a client", self.listener.accept()).await.expect("a connection");
        let mut peer = Peer { stream };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("an opening", peer.stream.read_u8()).await.expect("an opening"));
        }
        let head = String::from_utf8(head).expect("an opening");
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
        });
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: keywire.v1\r\n\r\n",
            derive_accept_key(key.expect("a key").as_bytes())
        );
        peer.write(answer.as_bytes()).await;
        peer
    }

    /// The next connection, with its first `kw:ping` answered: the client is open.
    pub(crate) async fn welcome(&self) -> Peer {
        let mut peer = self.accept().await;
        assert_eq!(peer.frame().await.1, br#"{"flag":"kw:ping"}"#);
        peer.write(&super::frame(super::TEXT, br#"{"code":"00","msg":"","flag":"kw:pong"}"#, None)).await;
        peer
    }
}

impl Peer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within("bytes to be taken", self.stream.write_all(bytes)).await.expect("a connection");
    }

    /// The next frame of the client: its opcode and payload.
    pub(crate) async fn frame(&mut self) -> (u8, Vec<u8>) {
        within("a frame", async {
            let opcode = self.stream.read_u8().await.expect("a frame") & 0xf;
            let len = match self.stream.read_u8().await.expect("a length") & 0x7f {
                126 => self.stream.read_u16().await.expect("a length").into(),
                127 => self.stream.read_u64().await.expect("a length"),
                short => short.into(),
            };
            let mask = self.stream.read_u32().await.expect("a mask").to_be_bytes();
            let mut payload = vec![0; usize::try_from(len).expect("a length")];
            self.stream.read_exact(&mut payload).await.expect("a payload");
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            (opcode, payload)
        })
        .await
    }
}
