use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::connection::{State, Times, write};
use super::desired::{Batch, Desired};
use super::error::CallError;
use super::link::Link;
use super::names::Names;
use super::queue::Queue;
use super::resp::{Value, decode, encode};
use super::source::Source;
use super::task::Task;
use crate::cluster::Topic;

/// The subscriptions of this node on one server, on a connection of their own.
///
/// The connection is probed while it is idle, and made again without end. After that everything wanted is subscribed again, in
/// batches, each of which must be confirmed in time.
pub(super) struct Subscriber {
    shared: Arc<Shared>,
    _task: Task,
}

struct Shared {
    desired: Mutex<Desired>,
    changed: Notify,
    state: State,
    queue: Arc<Queue>,
    names: Names,
    times: Times,
    /// In a Redis Cluster: the topics of this subscriber may have moved to another node.
    stale: Option<Arc<Notify>>,
}

/// Commands whose confirmations are missing.
const BATCHES: usize = 16;

impl Subscriber {
    pub(super) fn start(
        link: Link,
        source: Source,
        names: Names,
        queue: Arc<Queue>,
        times: Times,
        stale: Option<Arc<Notify>>,
    ) -> Self {
        let mut desired = Desired::new(stale.is_some());
        desired.connect();
        let shared = Arc::new(Shared {
            desired: desired.into(),
            changed: Notify::new(),
            state: State::default(),
            queue,
            names,
            times,
            stale,
        });
        let _task = Task::spawn(supervise(Arc::clone(&shared), link, source));
        Self { shared, _task }
    }

    /// Subscribes at once. The result comes when the server has confirmed that.
    pub(super) fn subscribe(
        &self,
        topic: &Topic,
    ) -> impl Future<Output = Result<(), CallError>> + Send + use<> {
        let confirmed = self.shared.desired().want(topic);
        self.shared.changed.notify_one();
        let shared = Arc::clone(&self.shared);
        async move {
            let Some(confirmed) = confirmed else { return Ok(()) };
            if let Some(why) = shared.state.away() {
                return Err(CallError::Away(why));
            }
            let lost = || shared.state.away().unwrap_or_else(|| "the connection was lost".into());
            confirmed.await.map_err(|_| CallError::Lost(lost()))
        }
    }

    pub(super) fn unsubscribe(&self, topic: &Topic) {
        if self.shared.desired().unwant(topic) {
            self.shared.queue.restored();
        }
        self.shared.changed.notify_one();
    }

    /// The topics that are wanted and fit.
    pub(super) fn topics(&self, fits: impl Fn(&Topic) -> bool) -> Vec<Topic> {
        self.shared.desired().topics(fits)
    }

    /// Takes over a topic from another node's subscriber. Until it is confirmed, this node is interrupted.
    pub(super) fn adopt(&self, topic: &Topic) {
        if self.shared.desired().adopt(topic) {
            self.shared.queue.interrupted();
        }
        self.shared.changed.notify_one();
    }

    /// Tries again what the server has refused.
    pub(super) fn retry(&self) {
        self.shared.desired().retry();
        self.shared.changed.notify_one();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // It must not keep the node interrupted.
        if self.shared.desired().close() {
            self.shared.queue.restored();
        }
    }
}

impl Shared {
    fn desired(&self) -> MutexGuard<'_, Desired> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.desired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command for a batch.
    fn encode(&self, out: &mut Vec<u8>, batch: &Batch) {
        let verb: &[u8] = match (batch.join, self.stale.is_some()) {
            (true, false) => b"SUBSCRIBE",
            (true, true) => b"SSUBSCRIBE",
            (false, false) => b"UNSUBSCRIBE",
            (false, true) => b"SUNSUBSCRIBE",
        };
        let channels: Vec<_> = batch.topics.iter().map(|topic| self.names.channel(topic)).collect();
        let mut parts = vec![verb];
        parts.extend(channels.iter().map(String::as_bytes));
        encode(out, &parts);
    }
}

async fn supervise(shared: Arc<Shared>, first: Link, source: Source) {
    let mut link = Some(first);
    let mut backoff = Backoff::default();
    loop {
        if let Some(link) = link.take() {
            let since = Instant::now();
            let why: Arc<str> = drive(&shared, link, &source).await.to_string().into();
            tracing::warn!(%why, "Redis: the connection for subscriptions is lost");
            // Before the waiting calls end: they tell the reason.
            shared.state.set(Some(why));
            {
                let mut desired = shared.desired();
                // Otherwise the node is interrupted since the last time.
                if desired.disconnect() {
                    shared.queue.interrupted();
                }
            }
            if since.elapsed() > shared.times.probe {
                backoff = Backoff::default();
            }
        }
        tokio::time::sleep(backoff.next()).await;
        match source.open().await {
            Ok(opened) => {
                tracing::info!("Redis: the connection for subscriptions is back");
                link = Some(opened);
                let mut desired = shared.desired();
                shared.state.set(None);
                if desired.connect() {
                    shared.queue.restored();
                }
            }
            Err(error) => {
                tracing::debug!(%error, "Redis: no connection for subscriptions");
                shared.state.set(Some(error.to_string().into()));
                // Another node may have taken its place.
                if let Some(stale) = &shared.stale {
                    stale.notify_one();
                }
            }
        }
    }
}

/// What the connection waits for.
struct Progress<'a> {
    shared: &'a Shared,
    in_flight: VecDeque<Sent>,
    /// When the last probe without an answer was sent.
    probed: Option<Instant>,
    heard: Instant,
    out: BytesMut,
}

/// A command whose confirmations are missing.
struct Sent {
    /// The number of names without confirmation.
    left: usize,
    since: Instant,
    /// In a Redis Cluster the names: the node may refuse them, because they have moved.
    topics: Vec<Topic>,
}

/// Serves the subscriptions until the connection breaks.
async fn drive(shared: &Shared, link: Link, source: &Source) -> io::Error {
    let (mut moved, peer) = (source.commands_at(), link.peer);
    let (mut reader, mut writer) = tokio::io::split(link.socket);
    let (mut input, mut unflushed) = (link.input, false);
    let mut progress = Progress {
        shared,
        in_flight: VecDeque::new(),
        probed: None,
        heard: Instant::now(),
        out: BytesMut::new(),
    };
    let run = async {
        loop {
            progress.fill();
            let (unsent, deadline) = (!progress.out.is_empty(), progress.deadline());
            tokio::select! {
                // What has arrived counts before the deadline: this process may have been asleep.
                biased;
                read = reader.read_buf(&mut input) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    progress.heard = Instant::now();
                    while let Some(value) = decode(&mut input).map_err(io::Error::other)? {
                        progress.heard(value)?;
                    }
                    // A fast server must not keep this thread from others.
                    tokio::task::consume_budget().await;
                }
                taken = write(&mut writer, &mut progress.out), if unsent || unflushed => {
                    unflushed = taken? > 0;
                }
                () = shared.changed.notified() => {}
                () = elsewhere(&mut moved, peer) => {
                    return Err(io::Error::other("the server may be at another address now"));
                }
                () = tokio::time::sleep_until(deadline) => progress.expired()?,
            }
        }
    };
    let result: io::Result<std::convert::Infallible> = run.await;
    match result {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// Waits until the connection for commands goes to another server. Only a change counts: a name may have several addresses.
async fn elsewhere(commands: &mut watch::Receiver<Option<SocketAddr>>, here: Option<SocketAddr>) {
    while commands.changed().await.is_ok() {
        if *commands.borrow_and_update() != here {
            return;
        }
    }
    std::future::pending().await
}

impl Progress<'_> {
    fn fill(&mut self) {
        let mut desired = self.shared.desired();
        let mut out = Vec::new();
        while self.in_flight.len() < BATCHES
            && let Some(batch) = desired.next_batch()
        {
            self.shared.encode(&mut out, &batch);
            let left = batch.topics.len();
            let topics = if self.shared.stale.is_some() { batch.topics } else { Vec::new() };
            self.in_flight.push_back(Sent { left, since: Instant::now(), topics });
        }
        self.out.extend_from_slice(&out);
    }

    fn heard(&mut self, value: Value) -> io::Result<()> {
        let parts = match value {
            Value::Push(parts) => parts,
            Value::Error(answer) => return self.refused(answer),
            // The answer to a probe.
            _ => {
                self.probed = None;
                return Ok(());
            }
        };
        let mut parts = parts.into_iter();
        let (Some(Value::Text(kind)), Some(Value::Text(channel))) = (parts.next(), parts.next()) else {
            return Ok(());
        };
        let Some(topic) = self.shared.names.topic(&channel) else { return Ok(()) };
        match kind.as_ref() {
            b"message" | b"smessage" => {
                if let Some(Value::Text(message)) = parts.next()
                    && self.shared.desired().is_wanted(&topic)
                {
                    // A copy: the message must not keep the buffer that it arrived in.
                    self.shared.queue.message(topic, Bytes::copy_from_slice(&message));
                }
            }
            b"subscribe" | b"ssubscribe" => {
                self.progressed();
                if self.shared.desired().confirmed(&topic) {
                    self.shared.queue.restored();
                }
            }
            b"unsubscribe" | b"sunsubscribe" => match self.shared.desired().ended(&topic) {
                None => self.progressed(),
                Some(first) => {
                    if first {
                        self.shared.queue.interrupted();
                    }
                    if let Some(stale) = &self.shared.stale {
                        stale.notify_one();
                    }
                }
            },
            _ => {}
        }
        Ok(())
    }

    /// The server refuses a command. If its topics have moved to another node of a cluster, they wait until we know that node.
    fn refused(&mut self, answer: String) -> io::Result<()> {
        let moved =
            ["MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN "].iter().any(|code| answer.starts_with(code));
        let (true, Some(stale)) = (moved, &self.shared.stale) else { return Err(io::Error::other(answer)) };
        if let Some(sent) = self.in_flight.pop_front()
            && self.shared.desired().refused(&sent.topics)
        {
            self.shared.queue.interrupted();
        }
        stale.notify_one();
        Ok(())
    }

    /// One more name of the oldest command is confirmed.
    fn progressed(&mut self) {
        if let Some(oldest) = self.in_flight.front_mut() {
            oldest.left -= 1;
            if oldest.left == 0 {
                self.in_flight.pop_front();
            }
        }
    }

    fn deadline(&self) -> Instant {
        let times = self.shared.times;
        let sent = self.in_flight.front().map(|oldest| oldest.since);
        match sent.into_iter().chain(self.probed).min() {
            Some(since) => since + times.response,
            None => self.heard + times.probe,
        }
    }

    fn expired(&mut self) -> io::Result<()> {
        if self.probed.is_some() || !self.in_flight.is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut out = Vec::new();
        encode(&mut out, &[b"PING"]);
        self.out.extend_from_slice(&out);
        self.probed = Some(Instant::now());
        Ok(())
    }
}
