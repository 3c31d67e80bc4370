//! Connect, upgrade and close, repeatedly.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use super::{Measure, Task};
use crate::load::frame;
use crate::load::open::read_head;

/// Most connections of a measurement. More would fill the kernel's table of recently closed connections.
const MOST: u64 = 200_000;

/// Number of connections that are opened, upgraded and closed together, so that the server has work while this
/// side waits.
pub fn run(task: &Task, measure: &mut Measure) -> io::Result<()> {
    let request = task.target.request("user0");
    let close = frame::masked(frame::CLOSE, &1000_u16.to_be_bytes());
    group(task, &request, &close, 0)?;
    measure.during(task, |measure, end| {
        for turn in 1.. {
            let start = Instant::now();
            group(task, &request, &close, turn)?;
            let now = Instant::now();
            let Measure { messages, latencies, .. } = &mut *measure;
            messages.expected += task.sessions as u64;
            messages.received += task.sessions as u64;
            latencies.add(now - start, task.sessions as u64);
            if now >= end || messages.expected >= MOST {
                break;
            }
        }
        Ok(())
    })
}

fn group(task: &Task, request: &str, close: &[u8], turn: usize) -> io::Result<()> {
    let connect = |_| task.target.connect_from(1 + turn);
    let mut sockets = (0..task.sessions).map(connect).collect::<io::Result<Vec<_>>>()?;
    each(&mut sockets, |socket| socket.write_all(request.as_bytes()))?;
    each(&mut sockets, |socket| read_head(socket).map(drop))?;
    each(&mut sockets, |socket| socket.write_all(close))?;
    // The close frame of the server, and then the end of the stream.
    each(&mut sockets, |socket| {
        let mut rest = [0; 256];
        while socket.read(&mut rest)? > 0 {}
        Ok(())
    })
}

fn each(sockets: &mut [TcpStream], step: impl FnMut(&mut TcpStream) -> io::Result<()>) -> io::Result<()> {
    sockets.iter_mut().try_for_each(step)
}
