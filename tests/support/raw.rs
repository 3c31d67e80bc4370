//! A client that writes bytes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Waker};

use serde_json::Value;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpSocket;

use super::{Over, Wire, within};

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;

pub(crate) struct Raw {
    stream: Wire,
    unread: Vec<u8>,
}

/// The head and body of an HTTP response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// A frame of the server.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Received {
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.opcode, TEXT, "{self:?}");
        std::str::from_utf8(&self.payload).expect("UTF-8")
    }

    pub(crate) fn close_code(&self) -> u16 {
        assert_eq!(self.opcode, CLOSE, "{self:?}");
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }
}

/// A valid opening request, followed by `headers`.
pub(crate) fn opening(path: &str, headers: &[(&'static str, &str)]) -> String {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// A whole frame, with or without the mask that a client must use.
pub(crate) fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..=125 => bytes.push(mask_bit | len as u8),
        len @ 126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(mask_bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    let mask = mask.unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload, Some([0x12, 0x34, 0x56, 0x78]))
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::over(Over::Plain.connect(addr).await.expect("a listening server"))
    }

    pub(crate) fn over(stream: Wire) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Connects from another address of this machine than 127.0.0.1, such as 127.0.0.2.
    pub(crate) async fn connect_from(address: &str, addr: SocketAddr) -> Self {
        Self::over_from(Over::Plain, address, addr).await
    }

    pub(crate) fn into_wire(self) -> Wire {
        self.stream
    }

    pub(crate) async fn over_from(over: Over, address: &str, addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(SocketAddr::new(address.parse().expect("an address"), 0))
            .expect("an address of this machine");
        let stream = within("a connection", socket.connect(addr)).await.expect("a listening server");
        Self::over(over.wrap(stream).await.expect("a handshake"))
    }

    /// The address that the server sees.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.tcp().local_addr().expect("an address")
    }

    /// A request without a body, and its answer.
    pub(crate) async fn get(&mut self, path: &str) -> Head {
        self.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        self.head().await
    }

    /// The answer to a request without a body, unless the connection ends first.
    pub(crate) async fn try_get(&mut self, path: &str) -> Option<Head> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if self.try_write(request.as_bytes()).await { self.try_head().await } else { None }
    }

    /// The head and body of an answer, unless the connection ends first.
    pub(crate) async fn try_head(&mut self) -> Option<Head> {
        match within("bytes", self.stream.read_buf(&mut self.unread)).await {
            Ok(read) if read > 0 => Some(self.head().await),
            _ => None,
        }
    }

    /// Writes. Returns whether the connection is open and takes these bytes.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        within("room to write", self.stream.write_all(bytes)).await.is_ok()
    }

    /// Bytes of another protocol.
    pub(crate) async fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.take(len).await.expect("an open connection")
    }

    /// Whether nothing has arrived yet.
    pub(crate) fn has_nothing(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut [0]));
        self.unread.is_empty() && read.is_pending()
    }

    /// Breaks the connection off with a TCP reset.
    pub(crate) fn reset(self) {
        self.stream.tcp().set_zero_linger().expect("a socket");
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within("room to write", self.stream.write_all(bytes)).await.expect("an open connection");
    }

    /// Reads more. A reset fails the test. At the end of the stream it returns `false`.
    async fn read(&mut self) -> bool {
        let read = within("bytes", self.stream.read_buf(&mut self.unread)).await;
        read.expect("an end in order, not a reset") > 0
    }

    async fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.unread.len() < len {
            if !self.read().await {
                assert!(self.unread.is_empty(), "cut off within a frame");
                return None;
            }
        }
        Some(self.unread.drain(..len).collect())
    }

    /// Reads and drops at most this many bytes. Returns their number.
    pub(crate) async fn skip(&mut self, most: usize) -> usize {
        let mut bytes = vec![0; most];
        let read = within("bytes", self.stream.read(&mut bytes)).await.expect("an end in order, not a reset");
        assert!(read > 0, "the connection has ended");
        read
    }

    pub(crate) async fn head(&mut self) -> Head {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read().await, "the end before an answer");
        };
        let head = self.take(end).await.expect("just read");
        let head = String::from_utf8(head).expect("a head in ASCII");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut head = Head { status: status.parse().expect("a number"), headers, body: String::new() };
        if let Some(len) = head.header("content-length") {
            let len = len.parse().expect("a number");
            let body = self.take(len).await.expect("the body");
            head.body = String::from_utf8(body).expect("a body in UTF-8");
        }
        head
    }

    /// The next frame, or `None` at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<Received> {
        let (bits, frame) = self.any_frame().await?;
        assert_eq!(bits, 0x80, "a server sends whole messages and no reserved bits");
        Some(frame)
    }

    /// The next frame, whatever its reserved bits.
    pub(crate) async fn any_frame(&mut self) -> Option<(u8, Received)> {
        let start = self.take(2).await?;
        let len = match start[1] {
            126 => self.take(2).await?.into_iter().fold(0, |len, byte| len << 8 | usize::from(byte)),
            127 => self.take(8).await?.into_iter().fold(0, |len, byte| len << 8 | usize::from(byte)),
            len => usize::from(len),
        };
        let payload = self.take(len).await.expect("the whole frame");
        Some((start[0] & 0xf0, Received { opcode: start[0] & 0x0f, payload }))
    }

    /// The next text frame as JSON.
    pub(crate) async fn push(&mut self) -> Value {
        let frame = self.frame().await.expect("a push");
        serde_json::from_str(frame.text()).expect("JSON")
    }

    /// Reads until the connection ends in any way.
    pub(crate) async fn gone(&mut self) {
        loop {
            self.unread.clear();
            match within("the end", self.stream.read_buf(&mut self.unread)).await {
                Ok(0) => return,
                Ok(_) => {}
                // TLS that is cut has no `close_notify`.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) =>
                {
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
