//! A server on actix-web, and what a client sees of it.

mod adapter;

use std::io::Result;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use keywire::auth::RawKey;
use keywire::{Hub, Push};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::adapter::websocket;

fn main() -> Result<()> {
    actix_web::rt::System::new().block_on(run())
}

async fn run() -> Result<()> {
    let hub = Hub::builder(RawKey::from_path()).build();
    let data = web::Data::new(hub.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/websocket", web::route().to(websocket))
            .route("/websocket/{key}", web::route().to(websocket))
            .default_service(web::to(|| async { "a page" }))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0))?;
    let addr = server.addrs()[0];
    let server = server.run();
    let stop = server.handle();
    actix_web::rt::spawn(server);

    session(addr, &hub).await?;
    ends(addr, &hub).await?;
    refusals(addr).await?;
    let cut = hub.shutdown(Duration::from_secs(30)).await;
    assert_eq!(cut, 0);
    stop.stop(false).await;
    println!("actix-web: served");
    Ok(())
}

/// A key with percent-encoding, messages in both directions, and a message larger than the pipe.
async fn session(addr: SocketAddr, hub: &Hub) -> Result<()> {
    let mut client = Client::open(addr, "GET", "/websocket/zo%C3%AB").await?;
    assert_eq!(client.status, "HTTP/1.1 101 Switching Protocols");
    assert!(
        client.head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{}",
        client.head
    );
    assert_eq!(client.head.matches("connection: upgrade\r\n").count(), 1, "{}", client.head);
    client.ping().await?;
    let session = hub.sessions("zoë").await.pop().expect("a session");
    assert_eq!(session.peer(), Some(client.stream.local_addr()?));
    let large = "long ".repeat(20_000);
    hub.send_to("zoë", Push::message(large.clone())).await;
    assert!(client.frame().await?.1.ends_with(format!("{large}\"}}").as_bytes()));
    client.ping().await?;
    // The server closes: a close frame, and the end of TCP after the client's answer.
    hub.disconnect("zoë").await;
    let (opcode, payload) = client.frame().await?;
    assert_eq!((opcode, &payload[..2]), (8, &4505_u16.to_be_bytes()[..]));
    client.send(8, &payload[..2]).await?;
    assert_eq!(client.stream.read(&mut [0]).await?, 0, "the end of the stream");
    absent(hub).await;
    Ok(())
}

/// Ends that the client makes.
async fn ends(addr: SocketAddr, hub: &Hub) -> Result<()> {
    let mut client = Client::open(addr, "GET", "/websocket/alice").await?;
    client.ping().await?;
    client.send(8, &1000_u16.to_be_bytes()).await?;
    assert_eq!(client.frame().await?, (8, 1000_u16.to_be_bytes().to_vec()));
    assert_eq!(client.stream.read(&mut [0]).await?, 0, "the end of the stream");
    absent(hub).await;

    let mut client = Client::open(addr, "GET", "/websocket/alice").await?;
    client.ping().await?;
    client.stream.set_zero_linger()?;
    drop(client);
    absent(hub).await;
    Ok(())
}

async fn refusals(addr: SocketAddr) -> Result<()> {
    for (method, path, status) in [
        ("GET", "/websocket", "HTTP/1.1 401 Unauthorized"),
        ("GET", "/websocket/%FF", "HTTP/1.1 400 Bad Request"),
        ("POST", "/websocket/alice", "HTTP/1.1 405 Method Not Allowed"),
        ("GET", "/elsewhere", "HTTP/1.1 200 OK"),
    ] {
        assert_eq!(Client::open(addr, method, path).await?.status, status, "{method} {path}");
    }
    Ok(())
}

/// Waits until there is no session.
async fn absent(hub: &Hub) {
    while hub.counts().await.sessions > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

struct Client {
    stream: TcpStream,
    status: String,
    head: String,
}

impl Client {
    async fn open(addr: SocketAddr, method: &str, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(addr).await?;
        let opening = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(opening.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.lines().next().unwrap_or_default().to_owned();
        Ok(Self { stream, status, head: head.to_ascii_lowercase() })
    }

    /// Sends a short frame, with a mask of zeros.
    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        let len = u8::try_from(payload.len()).expect("a short frame");
        self.stream.write_all(&[&[0x80 | opcode, 0x80 | len, 0, 0, 0, 0], payload].concat()).await
    }

    /// The opcode and the payload of the next frame.
    async fn frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let opcode = self.stream.read_u8().await? & 0xf;
        let len = match self.stream.read_u8().await? {
            126 => self.stream.read_u16().await?.into(),
            127 => self.stream.read_u64().await? as usize,
            len => len.into(),
        };
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).await?;
        Ok((opcode, payload))
    }

    /// Waits for a round trip.
    async fn ping(&mut self) -> Result<()> {
        self.send(1, br#"{"flag":"kw:ping"}"#).await?;
        assert_eq!(self.frame().await?.1, br#"{"code":"00","msg":"","flag":"kw:pong"}"#);
        Ok(())
    }
}
