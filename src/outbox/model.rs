//! The outbox against a list, under any sequence of what can happen to it.
//!
//! Each of its calls holds the lock once, so whatever threads do at the same time is one such sequence. A model checker
//! would go through the same ones, but could run neither the sockets nor the runtime that half of the outbox is about.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Wake;
use std::thread;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::auth::RawKey;
use crate::frame::Frame;
use crate::hub::Hub;
use crate::key::{Identity, Key};
use crate::session::Session;
use crate::websocket::split_frame;

/// Longer than it takes. Only a broken outbox waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Somebody sends so many bytes: a task of the runtime, or a thread that knows none.
    Send {
        len: usize,
        outside: bool,
    },
    /// A connection sends several in its turn.
    Turn {
        messages: usize,
        len: usize,
    },
    /// Flushers have theirs.
    Flushers,
    /// The connection's task has its turn, though nobody may have called it.
    Task,
    /// The peer reads so much.
    Read {
        bytes: usize,
    },
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![3 => 1..200_usize, 1 => Just(5_000), 1 => Just(400_000)];
    prop_oneof![
        4 => (len.clone(), any::<bool>()).prop_map(|(len, outside)| Step::Send { len, outside }),
        1 => (1..20_usize, len).prop_map(|(messages, len)| Step::Turn { messages, len }),
        2 => Just(Step::Flushers),
        2 => Just(Step::Task),
        2 => (1..1_000_000_usize).prop_map(|bytes| Step::Read { bytes }),
    ]
}

/// Whether the connection's task has been called since it last ran.
#[derive(Default)]
struct Called(AtomicBool);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct World {
    session: Session,
    peer: TcpStream,
    called: Arc<Called>,
    sent: usize,
    /// What was taken: the length of each message, which begins with its number.
    taken: Vec<(usize, usize)>,
    received: Vec<u8>,
    slow: bool,
    over: bool,
}

impl World {
    async fn new(config: Config) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let hub = Hub::builder(RawKey::from_path()).config(config).build();
        let session = Session::new(hub, Identity::new(Key::new("alice").unwrap()), None, true, false);
        session.outbox().attach(listener.accept().await.unwrap().0);
        let called = Arc::new(Called(AtomicBool::new(true)));
        let (taken, received) = (Vec::new(), Vec::new());
        Self { session, peer, called, sent: 0, taken, received, slow: false, over: false }
    }

    fn send(&mut self, len: usize, outside: bool) {
        let (number, len) = (self.sent, len.max(8));
        self.sent += 1;
        let payload = [&number.to_be_bytes()[..], &vec![0; len - 8]].concat();
        let frame = Frame::binary(&payload);
        let session = &self.session;
        let outcome = if outside {
            thread::scope(|scope| scope.spawn(|| session.send_frame(&frame)).join().unwrap())
        } else {
            session.send_frame(&frame)
        };
        match outcome {
            Outcome::Accepted => {
                assert!(!self.over, "taken after the end");
                self.taken.push((number, len));
            }
            Outcome::Slow => {
                assert!(!self.over, "two ends");
                (self.slow, self.over) = (true, true);
            }
            Outcome::Gone => assert!(self.over, "gone without an end"),
            // Under this policy nothing is.
            Outcome::Displaced(_) | Outcome::Dropped(_) => panic!("dropped"),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Send { len, outside } => self.send(len, outside),
            Step::Turn { messages, len } => {
                let _turn = Turn::begin();
                (0..messages).for_each(|_| self.send(len, false));
            }
            Step::Flushers => tokio::task::yield_now().await,
            Step::Task => self.task(),
            Step::Read { bytes } => _ = self.read(bytes),
            Step::Close => {
                let outcome = self.session.close(CloseCode::NORMAL, "");
                assert_eq!(outcome, if self.over { Outcome::Gone } else { Outcome::Accepted });
                self.over = true;
            }
        }
        self.assert_attended();
    }

    /// One poll of the connection's task.
    fn task(&self) {
        self.called.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.called.clone());
        let cx = &mut Context::from_waker(&waker);
        let outbox = self.session.outbox();
        let _ = outbox.attend(cx, None);
        match outbox.poll_rest(cx, None) {
            // The task would end here. It is flushed as its end would do it.
            Poll::Ready(Ok(Some(_))) => {
                if outbox.poll_flush(cx, None).is_pending() {
                    outbox.lock().attention = Attention::Task;
                }
            }
            Poll::Ready(Ok(None)) | Poll::Pending => {}
            Poll::Ready(Err(error)) => panic!("{error}"),
        }
    }

    fn read(&mut self, bytes: usize) -> usize {
        let mut buffer = vec![0; bytes];
        match self.peer.try_read(&mut buffer) {
            Ok(read) => {
                self.received.extend_from_slice(&buffer[..read]);
                read
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        }
    }

    /// Whatever waits, somebody will look at it.
    fn assert_attended(&self) {
        let state = self.session.outbox().lock();
        let open = matches!(state.life, Life::Open);
        match state.attention {
            Attention::Nobody => assert!(state.queue.is_empty() && open, "forgotten"),
            Attention::Task if open => {
                drop(state);
                // The watchdog calls it outside of the lock, perhaps only now.
                let since = Instant::now();
                while !self.called.0.load(Ordering::SeqCst) {
                    assert!(since.elapsed() < PATIENCE, "the task was not called");
                    thread::yield_now();
                }
            }
            Attention::Task | Attention::Socket | Attention::Flusher => {}
        }
    }

    /// Lets everybody do what they are called for, and nothing else, until nothing waits; and reads to the end.
    async fn settle(&mut self) {
        let writing = async {
            while !self.session.outbox().lock().queue.is_empty() {
                if self.over || self.called.0.load(Ordering::SeqCst) {
                    self.task();
                }
                self.read(1 << 20);
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, writing).await.expect("something waits for ever");
        self.session.outbox().end();
        self.peer.read_to_end(&mut self.received).await.unwrap();
    }

    fn judge(&self) {
        let mut bytes = &self.received[..];
        let mut got = Vec::new();
        while let Some((_, payload)) = split_frame(&mut bytes) {
            got.push((usize::from_be_bytes(payload[..8].try_into().unwrap()), payload.len()));
        }
        assert!(bytes.is_empty(), "a frame in part");
        if self.slow {
            assert!(self.taken.starts_with(&got), "out of order, or a gap");
        } else {
            assert_eq!(got, self.taken, "lost, or out of order");
        }
    }
}

fn play(steps: Vec<Step>, close: bool, queue_messages: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world =
            World::new(Config { queue_messages, queue_bytes: 4 << 20, ..Config::default() }).await;
        for step in steps {
            world.step(step).await;
        }
        if close {
            world.step(Step::Close).await;
            world.step(Step::Send { len: 10, outside: false }).await;
        }
        world.settle().await;
        world.judge();
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn nothing_is_lost_forgotten_or_overtaken(
        steps in vec(step(), 0..80),
        close in any::<bool>(),
        queue in prop_oneof![Just(3_usize), Just(1_000)],
    ) {
        play(steps, close, queue);
    }
}
