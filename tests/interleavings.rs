//! One session, and many who send to it and end it at the same time, from every kind of thread: what each was told and what
//! arrived is recorded, and has to be what one queue would have done.
#![cfg(feature = "warp")]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use keywire::auth::RawKey;
use keywire::session::CloseCode;
use keywire::store::Outcome;
use keywire::{Config, Hub, Push, Session, Switch};
use rand::random_range;
use serde_json::json;
use support::{Client, Server, within};

const ROUNDS: usize = 120;

/// One call to `send`, with when it began and when it was over.
#[derive(Debug, Clone, Copy)]
struct Sent {
    sender: u64,
    number: u64,
    begin: u64,
    end: u64,
    outcome: Outcome,
}

/// What happened, on one clock.
#[derive(Default)]
struct History {
    clock: AtomicU64,
    sent: Mutex<Vec<Sent>>,
}

impl History {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn accepted(&self) -> Vec<Sent> {
        let sent = self.sent.lock().expect("no panic");
        sent.iter().copied().filter(|sent| sent.outcome == Outcome::Accepted).collect()
    }
}

/// Somebody who sends.
#[derive(Clone)]
struct Sender {
    id: u64,
    target: Session,
    history: Arc<History>,
    messages: u64,
    size: usize,
}

impl Sender {
    async fn run(self) {
        let (fill, mut sent) = ("x".repeat(self.size), Vec::new());
        for number in 0..self.messages {
            let push = Push::message(fill.clone()).with_data([self.id, number]);
            let begin = self.history.tick();
            let outcome = self.target.send(push);
            sent.push(Sent { sender: self.id, number, begin, end: self.history.tick(), outcome });
            if random_range(0..8) == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.history.sent.lock().expect("no panic").extend(sent);
    }

    /// Runs as one of the kinds of senders there are.
    async fn run_somewhere(self, server: &Server, work: &Arc<Mutex<HashMap<String, Self>>>) {
        match self.id % 4 {
            // A task of the runtime.
            0 => tokio::spawn(self.run()).await.expect("no panic"),
            // A thread that knows no runtime.
            1 => on_a_thread(move || futures_executor(self.run())).await,
            // Another runtime.
            2 => {
                on_a_thread(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                    runtime.block_on(self.run());
                })
                .await;
            }
            // Another session's handler.
            _ => {
                let key = format!("sender-{}", self.id);
                work.lock().expect("no panic").insert(key.clone(), self);
                let mut client = server.client(&key).await;
                let reply = client.ask(json!({ "flag": "command" })).await;
                assert_eq!(reply["code"], "00");
            }
        }
    }
}

async fn on_a_thread(work: impl FnOnce() + Send + 'static) {
    let (done, when) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    let _ = within("a thread", when).await;
    thread.join().expect("no panic");
}

/// Polls until it is done: nothing in it waits.
fn futures_executor(work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while work.as_mut().poll(&mut cx).is_pending() {}
}

/// What a round is like.
#[derive(Debug, Clone, Copy)]
struct Round {
    senders: u64,
    messages: u64,
    size: usize,
    queue: usize,
    /// Whether the client reads while they send.
    reads: bool,
    /// Whether somebody closes the session while they send.
    closes: bool,
}

impl Round {
    fn any(number: usize) -> Self {
        Self {
            senders: random_range(1..=6),
            messages: random_range(1..=150),
            size: [0, 400, 3_000, 30_000][number % 4],
            queue: [4, 64, 100_000][number % 3],
            reads: !number.is_multiple_of(5),
            closes: number % 7 < 2,
        }
    }
}

async fn play(round: Round) {
    let work: Arc<Mutex<HashMap<String, Sender>>> = Arc::default();
    let mine = work.clone();
    let switch = Switch::new().command(move |session: Session, _: keywire::Envelope| {
        let sender = mine.lock().expect("no panic").remove(session.key().as_str());
        async move {
            sender.expect("work").run().await;
            Ok(keywire::Reply::ok(""))
        }
    });
    let config = Config {
        // Nothing but the sending itself brings to light what was sent.
        ping_interval: None,
        queue_messages: round.queue,
        queue_bytes: usize::MAX,
        ..Config::default()
    };
    let server =
        Server::start(Hub::builder(RawKey::from_path()).handler(switch).config(config).build()).await;
    let mut client = server.client("alice").await;
    let target = server.hub.sessions("alice").await.remove(0);
    let history = Arc::new(History::default());

    let sending = futures_util::future::join_all((0..round.senders).map(|id| {
        let sender = Sender {
            id,
            target: target.clone(),
            history: history.clone(),
            messages: round.messages,
            size: round.size,
        };
        sender.run_somewhere(&server, &work)
    }));
    let closing = async {
        if !round.closes {
            return None;
        }
        for _ in 0..random_range(0..50) {
            tokio::task::yield_now().await;
        }
        let outcome = target.close(CloseCode::NORMAL, "enough");
        Some((outcome, history.tick()))
    };
    let mut received = Vec::new();
    let total = round.senders * round.messages;
    let (closed, end) = if round.reads {
        let reading = read(&mut client, &mut received, total);
        let ((_, closed), end) = tokio::join!(async { tokio::join!(sending, closing) }, reading);
        (closed, end)
    } else {
        let (_, closed) = tokio::join!(sending, closing);
        let accepted = history.accepted().len() as u64;
        let expected = if target.is_open() { accepted } else { u64::MAX };
        (closed, read(&mut client, &mut received, expected).await)
    };
    let end = match end {
        Some(code) => code,
        // All is there, without anything having to end for it.
        None => {
            target.close(CloseCode::NORMAL, "done");
            client.end().await.code
        }
    };
    judge(round, &history, &received, closed, end);
}

/// Reads so many, or to the end: then with which code it was.
async fn read(client: &mut Client, received: &mut Vec<(u64, u64)>, messages: u64) -> Option<u16> {
    while (received.len() as u64) < messages {
        match client.receive().await {
            tokio_tungstenite::tungstenite::Message::Text(text) => {
                let push: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                received.push(serde_json::from_value(push["data"].clone()).expect("a sender and a number"));
            }
            tokio_tungstenite::tungstenite::Message::Close(frame) => {
                return Some(frame.map_or(1005, |frame| frame.code.into()));
            }
            other => panic!("{other:?}"),
        }
    }
    None
}

fn judge(round: Round, history: &History, received: &[(u64, u64)], closed: Option<(Outcome, u64)>, end: u16) {
    let sent = history.sent.lock().expect("no panic").clone();
    assert_eq!(sent.len() as u64, round.senders * round.messages);
    let of: HashMap<(u64, u64), Sent> = sent.iter().map(|sent| ((sent.sender, sent.number), *sent)).collect();
    let arrived: Vec<Sent> = received.iter().map(|message| of[message]).collect();

    // What arrives was taken, arrives once, and in the order in which it was sent: nothing overtakes what was over
    // before it began, whoever sent it.
    let different: std::collections::HashSet<_> = received.iter().collect();
    assert_eq!(different.len(), received.len(), "{round:?}: twice");
    assert!(arrived.iter().all(|sent| sent.outcome == Outcome::Accepted), "{round:?}: it was not taken");
    let mut earliest_end = u64::MAX;
    for sent in arrived.iter().rev() {
        assert!(sent.begin < earliest_end, "{round:?}: {sent:?} was overtaken");
        earliest_end = earliest_end.min(sent.end);
    }

    // What was taken arrives, but for what waited when the client was too slow; and that is the last of it.
    let slow: Vec<_> = sent.iter().filter(|sent| sent.outcome == Outcome::Slow).collect();
    let lost: Vec<_> = sent
        .iter()
        .filter(|sent| sent.outcome == Outcome::Accepted && !different.contains(&(sent.sender, sent.number)))
        .collect();
    assert!(slow.len() <= 1, "{round:?}: {slow:?}");
    if slow.is_empty() {
        assert!(lost.is_empty(), "{round:?}: lost {lost:?}");
    }
    let last_begin = arrived.iter().map(|sent| sent.begin).max().unwrap_or_default();
    assert!(lost.iter().all(|sent| sent.end > last_begin), "{round:?}: a gap");

    // Once it is over, it is over, and the first reason is the reason.
    let mut over = slow.first().map(|sent| sent.end);
    if let Some((Outcome::Accepted, at)) = closed {
        assert!(slow.is_empty(), "{round:?}: two reasons");
        over = Some(at);
    }
    if let Some(over) = over {
        let late = sent.iter().find(|sent| sent.begin > over && sent.outcome != Outcome::Gone);
        assert!(late.is_none(), "{round:?}: {late:?} after the end");
    } else {
        assert!(sent.iter().all(|sent| sent.outcome == Outcome::Accepted), "{round:?}: gone without an end");
    }
    assert_eq!(end, if slow.is_empty() { 1000 } else { 4003 }, "{round:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_at_once_is_what_one_queue_would_have_done() {
    for number in 0..ROUNDS {
        let round = Round::any(number);
        play(round).await;
    }
}
