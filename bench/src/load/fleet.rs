//! Many sessions on one epoll.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::dialect::Dialect;
use super::frame;
use super::open::{Opened, Target};

/// The sessions `user0` to `user<n - 1>`.
pub struct Fleet {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    scratch: Vec<u8>,
    dialect: Dialect,
}

struct Member {
    link: Link,
    /// The beginning of an incomplete frame.
    rest: Vec<u8>,
}

/// The sending side of a session.
pub struct Link(TcpStream);

/// Number of sessions that open together.
const GROUP: usize = 64;
/// Number of events per call.
const EVENTS: usize = 1024;
/// Pause between two looks, which costs no processor time.
const NAP: Duration = Duration::from_micros(500);

/// Read buffer, large enough for any burst of one session.
const SCRATCH: usize = 256 * 1024;

impl Fleet {
    /// Opens the sessions.
    pub fn open(target: &Target, sessions: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut members = Vec::with_capacity(sessions);
        for first in (0..sessions).step_by(GROUP) {
            for Opened { socket, early } in target.open(first..sessions.min(first + GROUP))? {
                socket.set_nonblocking(true)?;
                let mut socket = TcpStream::from_std(socket);
                poll.registry().register(&mut socket, Token(members.len()), Interest::READABLE)?;
                members.push(Member { link: Link(socket), rest: early });
            }
        }
        let (events, scratch) = (Events::with_capacity(EVENTS), vec![0; SCRATCH]);
        Ok(Self { poll, events, members, scratch, dialect: target.dialect })
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn send(&mut self, member: usize, frames: &[u8]) -> io::Result<()> {
        self.members[member].link.send(frames)
    }

    /// Waits for messages and gives each to `each`: its session, its text, and a way to answer. Returns false if
    /// nothing came.
    pub fn turn(
        &mut self,
        wait: Duration,
        mut each: impl FnMut(usize, &[u8], &mut Link) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Self { poll, events, members, scratch, dialect } = self;
        match poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            result => result?,
        }
        for event in events.iter() {
            let number = event.token().0;
            let member = &mut members[number];
            member
                .read(scratch, *dialect, |payload, link| each(number, payload, link))
                .map_err(|error| io::Error::new(error.kind(), format!("user{number}: {error}")))?;
        }
        Ok(!events.is_empty())
    }
}

impl Fleet {
    /// Waits until each session has data, without reading it, at almost no processor time. Returns false if some
    /// get none.
    pub fn all_ready(&mut self, wait: Duration) -> io::Result<bool> {
        let mut ready = vec![false; self.members.len()];
        let mut missing = ready.len();
        let end = Instant::now() + wait;
        while missing > 0 {
            if Instant::now() > end {
                return Ok(false);
            }
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            for event in &self.events {
                missing -= usize::from(!std::mem::replace(&mut ready[event.token().0], true));
            }
            if missing > 0 && self.events.iter().count() < EVENTS {
                std::thread::sleep(NAP);
            }
        }
        Ok(true)
    }

    /// Reads the available data of each session.
    pub fn drain(&mut self, mut each: impl FnMut(usize, &[u8])) -> io::Result<()> {
        let Self { members, scratch, dialect, .. } = self;
        for (number, member) in members.iter_mut().enumerate() {
            member.read(scratch, *dialect, |payload, _| {
                each(number, payload);
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Member {
    fn read(
        &mut self,
        scratch: &mut [u8],
        dialect: Dialect,
        mut each: impl FnMut(&[u8], &mut Link) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let before = self.rest.len();
            scratch[..before].copy_from_slice(&self.rest);
            let read = match self.link.0.read(&mut scratch[before..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let bytes = &scratch[..before + read];
            let link = &mut self.link;
            let used = frame::read(bytes, |opcode, payload| match opcode {
                frame::TEXT => match dialect.pong(payload) {
                    Some(pong) => link.send(&frame::masked(frame::TEXT, pong)),
                    None => each(payload, link),
                },
                frame::PING => link.send(&frame::masked(frame::PONG, payload)),
                frame::CLOSE => Err(io::Error::other(format!("closed by the server: {payload:?}"))),
                _ => Ok(()),
            })?;
            self.rest.clear();
            self.rest.extend_from_slice(&bytes[used..]);
            // A short read has emptied the socket. Later bytes are another event.
            if bytes.len() < scratch.len() {
                return Ok(());
            }
        }
    }
}

impl Link {
    /// Sends frames made by [`frame::masked`]. They are few, so the socket always has room.
    pub fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        let sent = self.0.write(frames)?;
        if sent < frames.len() {
            return Err(io::Error::other("the server does not read"));
        }
        Ok(())
    }
}
