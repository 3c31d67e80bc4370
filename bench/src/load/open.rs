//! Opening of connections. It blocks, since its cost is not measured.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::dialect::Dialect;
use super::frame;

/// The server and its protocol.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub address: SocketAddr,
    pub dialect: Dialect,
}

/// Timeout for one step of an opening.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections per source address, which has some 28,000 ports.
const PORTS: usize = 20_000;
/// Number of source addresses of 127.0.0.0/8, used in turn.
const SOURCES: usize = 64;

/// The example key of RFC 6455, section 1.3. The answer to it is not checked here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An open WebSocket, and the bytes that came after the head.
#[derive(Debug)]
pub struct Opened {
    pub socket: TcpStream,
    pub early: Vec<u8>,
}

impl Target {
    /// A connected socket without any data sent. It uses one of many source addresses, so that the ports suffice.
    pub fn connect_from(&self, source: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if source > 0 {
            let last = 2 + (source % SOURCES) as u8;
            socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
        }
        socket.connect_timeout(&self.address.into(), PATIENCE)?;
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// The head of the opening request.
    #[must_use]
    pub fn request(&self, key: &str) -> String {
        let Self { address, dialect } = self;
        let target = dialect.target(key);
        format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
    }

    /// The sessions of `user<n>` for these numbers. All of them take a step before the next one, since a server
    /// with Nagle's algorithm may take 40 ms for each.
    pub fn open(&self, numbers: Range<usize>) -> io::Result<Vec<Opened>> {
        let mut opened = Vec::with_capacity(numbers.len());
        for number in numbers {
            let mut socket = self.connect_from(number / PORTS)?;
            socket.write_all(self.request(&format!("user{number}")).as_bytes())?;
            opened.push(Opened { socket, early: Vec::new() });
        }
        for Opened { socket, early } in &mut opened {
            *early = read_head(socket)?;
            if let Some(greeting) = self.dialect.greeting() {
                socket.write_all(&frame::masked(frame::TEXT, greeting.as_bytes()))?;
            }
        }
        if self.dialect.greeting().is_some() {
            opened.iter_mut().try_for_each(|Opened { socket, early }| self.greet(socket, early))?;
        }
        Ok(opened)
    }

    fn greet(&self, socket: &mut TcpStream, early: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let mut welcome = false;
            let used = frame::read(early, |_, payload| {
                welcome |= payload.starts_with(self.dialect.welcome());
                Ok(())
            })?;
            early.drain(..used);
            if welcome {
                return Ok(());
            }
            read_more(socket, early)?;
        }
    }
}

/// Reads the response and checks that it is 101. Returns the bytes after it.
pub fn read_head(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(socket, &mut bytes)?;
    };
    let early = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes);
    if !head.starts_with("HTTP/1.1 101") || !head.contains(ACCEPT) {
        return Err(io::Error::other(format!("not upgraded: {head}")));
    }
    Ok(early)
}

fn read_more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 1024];
    match socket.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            bytes.extend_from_slice(&chunk[..read]);
            Ok(())
        }
    }
}
