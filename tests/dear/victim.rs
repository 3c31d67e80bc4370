//! The user who does nothing wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{TEXT, masked, opening};

pub(crate) struct Victim(TcpStream);

/// What a message and its reply take.
pub(crate) struct Latencies {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) most: Duration,
}

pub(crate) fn open(addr: SocketAddr) -> Victim {
    let mut victim = Victim(connect(addr, "/websocket/victim", &[]).expect("an upgrade"));
    victim.round_trip();
    victim
}

/// A connection that is upgraded, or none if the server refuses.
pub(crate) fn connect(
    addr: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(opening(path, headers).as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101") {
        Ok(stream)
    } else {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
}

impl Victim {
    /// One message after the other, each when the one before has come back.
    pub(crate) fn echo(mut self, time: Duration) -> Latencies {
        let start = Instant::now();
        let mut latencies = Vec::new();
        while start.elapsed() < time {
            let sent = Instant::now();
            self.round_trip();
            latencies.push(sent.elapsed());
            // A person's pace, and not a load of its own.
            std::thread::sleep(Duration::from_millis(1));
        }
        latencies.sort_unstable();
        let at = |share: usize| latencies[(latencies.len() - 1) * share / 100];
        Latencies { p50: at(50), p99: at(99), most: at(100) }
    }

    fn round_trip(&mut self) {
        self.0.write_all(&masked(TEXT, br#"{"flag":"command","body":1}"#)).expect("an open connection");
        let mut head = [0; 2];
        loop {
            self.0.read_exact(&mut head).expect("a reply");
            let mut payload = vec![0; usize::from(head[1])];
            self.0.read_exact(&mut payload).expect("a reply");
            if head[0] & 0x0f == TEXT {
                return;
            }
        }
    }
}
