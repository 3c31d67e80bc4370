use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::error::CallError;
use super::link::Link;
use super::queue::{Outage, Queue};
use super::resp::{Value, decode, encode};
use super::source::Source;
use super::task::Task;

/// A connection for commands, shared by all callers, which comes back by itself.
///
/// While it is away, calls fail at once, and the node is interrupted: what it publishes does not reach the others. What was sent and not answered when it breaks is [`CallError::Lost`]; what was never
/// sent is [`CallError::Away`].
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
    state: Arc<State>,
    _task: Task,
}

struct Request {
    command: Bytes,
    /// The command is preceded by ASKING, for a slot that moves to this node.
    asking: bool,
    answer: oneshot::Sender<Result<Value, CallError>>,
}

/// Times of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// A command without an answer for this long breaks the connection.
    pub(super) response: Duration,
    /// A connection that is idle for this long is probed.
    pub(super) probe: Duration,
}

/// The reason why the connection is away, if it is.
#[derive(Default)]
pub(super) struct State(Mutex<Option<Arc<str>>>);

impl State {
    pub(super) fn away(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, away: Option<Arc<str>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = away;
    }
}

/// Requests that wait for their turn.
const QUEUE: usize = 1024;
/// Requests that wait for their answer.
const IN_FLIGHT: usize = 8192;
/// Bytes that wait for the socket.
const UNSENT: usize = 256 * 1024;

impl Connection {
    pub(super) fn start(link: Link, source: Source, events: Arc<Queue>, times: Times) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        let state = Arc::new(State::default());
        let _task = Task::spawn(supervise(link, source, queue, events, Arc::clone(&state), times));
        Self { requests, state, _task }
    }

    /// Sends an encoded command. With `asking` also if its slot only moves to this node. The answer comes within the response time, since a connection without answers is broken.
    pub(super) async fn send(&self, command: Bytes, asking: bool) -> Result<Value, CallError> {
        if let Some(why) = self.state.away() {
            return Err(CallError::Away(why));
        }
        let closed = || CallError::Away("the connection is closed".into());
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { command, asking, answer }).await.map_err(|_| closed())?;
        match answered.await {
            Ok(Ok(Value::Error(error))) => Err(CallError::Refused(error)),
            Ok(answer) => answer,
            // The task has ended with its runtime.
            Err(_) => Err(CallError::Lost("the runtime has ended".into())),
        }
    }
}

async fn supervise(
    first: Link,
    source: Source,
    mut queue: mpsc::Receiver<Request>,
    events: Arc<Queue>,
    state: Arc<State>,
    times: Times,
) {
    let mut link = Some(first);
    let mut backoff = Backoff::default();
    let mut outage = None;
    loop {
        if let Some(link) = link.take() {
            state.set(None);
            drop(outage.take());
            source.commands_are_at(link.peer);
            let since = Instant::now();
            let Some(why) = serve(link, &mut queue, times).await else { return };
            let why: Arc<str> = why.to_string().into();
            tracing::warn!(%why, "Redis: the connection for commands is lost");
            state.set(Some(why));
            outage = Some(Outage::begin(&events));
            if since.elapsed() > times.probe {
                backoff = Backoff::default();
            }
        }
        let delay = backoff.next();
        let attempt = async {
            tokio::time::sleep(delay).await;
            source.open().await
        };
        tokio::pin!(attempt);
        // Requests that came before the state was set fail here.
        let opened = loop {
            tokio::select! {
                opened = &mut attempt => break opened,
                request = queue.recv() => match request {
                    Some(request) => {
                        let why = state.away().unwrap_or_else(|| "connecting".into());
                        let _ = request.answer.send(Err(CallError::Away(why)));
                    }
                    None => return,
                },
            }
        };
        match opened {
            Ok(opened) => {
                tracing::info!("Redis: the connection for commands is back");
                link = Some(opened);
            }
            Err(error) => {
                tracing::debug!(%error, "Redis: no connection for commands");
                state.set(Some(error.to_string().into()));
            }
        }
    }
}

/// What is in flight on a connection.
#[derive(Default)]
struct InFlight {
    waiting: VecDeque<Waiting>,
    out: BytesMut,
    /// Bytes of `out` that were ever added, and those that the socket has taken.
    added: u64,
    taken: u64,
}

struct Waiting {
    answer: Option<oneshot::Sender<Result<Value, CallError>>>,
    since: Instant,
    /// Where the command begins, as a number of bytes since the connection began.
    begin: u64,
}

impl InFlight {
    fn has_room(&self) -> bool {
        self.waiting.len() < IN_FLIGHT && self.out.len() < UNSENT
    }

    fn add(&mut self, request: Request) {
        // Nobody waits any more, and nothing is sent yet.
        if !request.answer.is_closed() {
            if request.asking {
                let mut asking = Vec::new();
                encode(&mut asking, &[b"ASKING"]);
                self.send(&asking, None);
            }
            self.send(&request.command, Some(request.answer));
        }
    }

    fn send(&mut self, command: &[u8], answer: Option<oneshot::Sender<Result<Value, CallError>>>) {
        self.waiting.push_back(Waiting { answer, since: Instant::now(), begin: self.added });
        self.out.extend_from_slice(command);
        self.added += command.len() as u64;
    }

    fn answered(&mut self, value: Value) -> io::Result<()> {
        // A push of the server answers nothing.
        if matches!(value, Value::Push(_)) {
            return Ok(());
        }
        let surprise = || io::Error::new(io::ErrorKind::InvalidData, "an answer without a command");
        let waiting = self.waiting.pop_front().ok_or_else(surprise)?;
        let demoted = matches!(&value, Value::Error(error) if error.starts_with("READONLY"));
        if let Some(answer) = waiting.answer {
            let _ = answer.send(Ok(value));
        }
        if demoted {
            // The master may be found at another address now.
            return Err(io::Error::other("the server has become a replica"));
        }
        Ok(())
    }

    fn fail(self, why: &io::Error) {
        let why: Arc<str> = why.to_string().into();
        for waiting in self.waiting {
            let sent = waiting.begin < self.taken;
            let error = if sent { CallError::Lost(why.clone()) } else { CallError::Away(why.clone()) };
            if let Some(answer) = waiting.answer {
                let _ = answer.send(Err(error));
            }
        }
    }
}

/// Serves requests until the connection breaks. `None` if there will be no more requests.
async fn serve(link: Link, queue: &mut mpsc::Receiver<Request>, times: Times) -> Option<io::Error> {
    let mut in_flight = InFlight::default();
    match drive(link, queue, times, &mut in_flight).await {
        Ok(()) => None,
        Err(error) => {
            in_flight.fail(&error);
            Some(error)
        }
    }
}

async fn drive(
    link: Link,
    queue: &mut mpsc::Receiver<Request>,
    times: Times,
    in_flight: &mut InFlight,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(link.socket);
    let (mut input, mut heard, mut unflushed) = (link.input, Instant::now(), false);
    loop {
        while in_flight.has_room()
            && let Ok(request) = queue.try_recv()
        {
            in_flight.add(request);
        }
        let has_room = in_flight.has_room();
        let unsent = !in_flight.out.is_empty();
        let deadline = match in_flight.waiting.front() {
            Some(oldest) => oldest.since + times.response,
            None => heard + times.probe,
        };
        let step = tokio::select! {
            // What has arrived counts before the deadline: this process may have been asleep.
            biased;
            read = reader.read_buf(&mut input) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                heard = Instant::now();
                while let Some(value) = decode(&mut input).map_err(io::Error::other)? {
                    in_flight.answered(value)?;
                }
                ControlFlow::Continue(())
            }
            taken = write(&mut writer, &mut in_flight.out), if unsent || unflushed => {
                let taken = taken?;
                in_flight.taken += taken as u64;
                unflushed = taken > 0;
                ControlFlow::Continue(())
            }
            request = queue.recv(), if has_room => match request {
                Some(request) => {
                    in_flight.add(request);
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            },
            () = tokio::time::sleep_until(deadline) => {
                if in_flight.waiting.is_empty() {
                    let mut probe = Vec::new();
                    encode(&mut probe, &[b"PING"]);
                    in_flight.send(&probe, None);
                    ControlFlow::Continue(())
                } else {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        };
        if step.is_break() {
            return Ok(());
        }
    }
}

/// Writes what the socket takes, or flushes if there is nothing to write: then it returns 0. Cancel safe.
pub(super) async fn write(writer: &mut (impl AsyncWrite + Unpin), out: &mut BytesMut) -> io::Result<usize> {
    if out.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    let taken = writer.write_buf(out).await?;
    if taken == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(taken) }
}
