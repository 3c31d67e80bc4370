//! One connection.

use std::io::{self, ErrorKind, Read as _, Write as _};

use keywire_bench::wire::{self, Command};
use mio::net::TcpStream;

use super::{frame, opening};

pub struct Client {
    socket: TcpStream,
    /// The key. Empty until the opening is over.
    key: Box<str>,
    /// The beginning of an incomplete frame or head.
    rest: Vec<u8>,
    /// Bytes that the socket did not take.
    out: Vec<u8>,
}

/// The result of reading from a connection.
pub enum Read {
    Open,
    /// The opening is complete, with this key.
    Joined(Box<str>),
    Ended,
}

impl Client {
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, key: Box::default(), rest: Vec::new(), out: Vec::new() }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// Reads and answers.
    pub fn serve(&mut self, scratch: &mut [u8], commands: &mut Vec<Command>) -> io::Result<Read> {
        if !self.out.is_empty() {
            let waiting = std::mem::take(&mut self.out);
            self.send(&waiting);
        }
        loop {
            let before = self.rest.len();
            scratch[..before].copy_from_slice(&self.rest);
            let read = match self.socket.read(&mut scratch[before..]) {
                Ok(0) => return Ok(Read::Ended),
                Ok(read) => before + read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Read::Open),
                Err(error) => return Err(error),
            };
            let full = read == scratch.len();
            let result = if self.key.is_empty() {
                self.join(&scratch[..read])
            } else {
                self.answer(&mut scratch[..read], commands)
            };
            // A short read has emptied the socket. Later bytes are another event.
            if !matches!(result, Read::Open) || !full {
                return Ok(result);
            }
        }
    }

    fn join(&mut self, bytes: &[u8]) -> Read {
        match opening::read(bytes) {
            Some(opening) => {
                self.send(opening.response.as_bytes());
                self.rest = bytes[opening.len..].to_vec();
                self.key = opening.key;
                Read::Joined(self.key.clone())
            }
            None => {
                self.rest = bytes.to_vec();
                Read::Open
            }
        }
    }

    /// Writes all replies to a read at once.
    fn answer(&mut self, bytes: &mut [u8], commands: &mut Vec<Command>) -> Read {
        let mut replies = Vec::new();
        let mut ended = false;
        let used = frame::read(bytes, |opcode, payload| match opcode {
            frame::TEXT => match payload.first() {
                Some(b'{') => {
                    let reply = std::str::from_utf8(payload).ok().and_then(wire::command_reply);
                    frame::text(&mut replies, reply.unwrap_or_default().as_bytes());
                }
                Some(b'B' | b'P') => {
                    commands.extend(std::str::from_utf8(payload).ok().and_then(Command::parse))
                }
                _ => frame::text(&mut replies, payload),
            },
            frame::PING => frame::write(&mut replies, frame::PONG, payload),
            frame::CLOSE => {
                frame::write(&mut replies, frame::CLOSE, payload);
                ended = true;
            }
            _ => {}
        });
        self.rest.clear();
        self.rest.extend_from_slice(&bytes[used..]);
        if !replies.is_empty() {
            self.send(&replies);
        }
        if ended { Read::Ended } else { Read::Open }
    }

    /// Writes as much as the socket takes, and keeps the rest.
    pub fn send(&mut self, bytes: &[u8]) {
        // Waiting bytes come first. A failed connection is noticed at its next event.
        let sent = if self.out.is_empty() { self.socket.write(bytes).unwrap_or(0) } else { 0 };
        self.out.extend_from_slice(&bytes[sent..]);
    }
}
