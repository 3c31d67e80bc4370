//! The results of tungstenite, in the role of the server, for the bytes of a client.

use std::io::{self, Read, Write};

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::{End, MAX, Owned};

/// The results of tungstenite for a sequence of reads.
pub(crate) fn theirs(reads: &[&[u8]]) -> (Vec<Owned>, End) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(MAX))
        // With this limit the error for a control frame is always its length, never its size.
        .max_frame_size(Some(MAX));
    let mut socket = WebSocket::from_raw_socket(Reads(reads.iter()), Role::Server, Some(config));
    let mut events = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Owned::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => events.push(Owned::Binary(bytes.into())),
            Ok(Message::Ping(bytes)) => events.push(Owned::Ping(bytes.into())),
            Ok(Message::Pong(bytes)) => events.push(Owned::Pong(bytes.into())),
            Ok(Message::Frame(_)) => unreachable!("never read"),
            // tungstenite reports a code that must not be sent as this close frame of the client.
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                break End::Refused;
            }
            Ok(Message::Close(close)) => {
                events.push(Owned::Close(close.map(|close| (close.code.into(), close.reason.to_string()))));
                break End::Closed;
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break End::Open,
            Err(Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_)) => break End::Refused,
            Err(error) => panic!("{error:?}"),
        }
    };
    (events, end)
}

/// A socket that returns the reads, and then has no more bytes for now.
struct Reads<'c>(std::slice::Iter<'c, &'c [u8]>);

impl Read for Reads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // An empty read would mean the end of the stream.
        let Some(read) = self.0.find(|read| !read.is_empty()) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        buffer[..read.len()].copy_from_slice(read);
        Ok(read.len())
    }
}

impl Write for Reads<'_> {
    fn write(&mut self, answer: &[u8]) -> io::Result<usize> {
        Ok(answer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
