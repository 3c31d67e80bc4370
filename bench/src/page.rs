//! A client that counts messages, as a page would open it.

use std::error::Error;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::load::{masked_text, read_frames};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a page talks through: TCP, or TLS on it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A client that counts.
pub struct Page {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

/// A TCP connection that sends at once.
///
/// # Errors
///
/// If the server cannot be reached.
pub async fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Page {
    /// Opens a session of a key. `follow`: a subprotocol that follows the key's log, or empty. A session that does not follow is
    /// in the store when this returns.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub async fn open(stream: impl Stream, key: &str, follow: &str) -> Result<Self> {
        let mut stream: Box<dyn Stream> = Box::new(stream);
        let protocols = if follow.is_empty() { String::new() } else { format!(", {follow}") };
        let request = format!(
            "GET /websocket/{key} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: keywire.v1{protocols}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut unread = Vec::new();
        let end = loop {
            if stream.read_buf(&mut unread).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        unread.drain(..end);
        let mut page = Self { stream, unread };
        // In the store when the pong comes.
        if follow.is_empty() {
            page.send(r#"{"flag":"kw:ping"}"#).await?;
            page.receive(1).await?;
        }
        Ok(page)
    }

    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(&masked_text(text)).await?;
        Ok(self.stream.flush().await?)
    }

    /// Waits for this many messages.
    ///
    /// # Errors
    ///
    /// If the connection fails or ends.
    pub async fn receive(&mut self, count: usize) -> Result<()> {
        let mut seen = 0;
        loop {
            let read = read_frames(&self.unread, |_, _| {
                seen += 1;
                Ok(())
            })?;
            self.unread.drain(..read);
            if seen >= count {
                return Ok(());
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }
}
