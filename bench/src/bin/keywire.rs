//! The keywire bench server: an endpoint of `keywire::serve`, raw keys, the real hub, store and handler types.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;

use clap::Parser as _;
use keywire::auth::RawKey;
use keywire::handler::HandlerError;
use keywire::message::Text;
use keywire::{Config, Envelope, HandlerResult, Hub, MessageHandler, Push, Reply, Session, async_trait};
use keywire_bench::server::Options;
use keywire_bench::wire::{self, Command, PAUSE_EVERY, Random};
use tokio::net::TcpListener;
use warp::Filter as _;

fn main() {
    let options = Options::parse();
    let listen = options.listen;
    let runtime = options.runtime();
    let hub = Hub::builder(RawKey::from_path()).handler(Bench).config(config()).build();
    // Runs on a worker, not on the thread that waits here.
    let server = runtime.spawn(async move {
        let listener = TcpListener::bind(listen).await.expect("a free address");
        let pages = warp::service(warp::path("health").map(|| "fine"));
        keywire::serve(listener, pages).websocket("/websocket", &hub).run().await;
    });
    if let Err(error) = runtime.block_on(server) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

/// The queues are larger than the default (256 messages, 1 MiB), because the load generator shares the machine
/// and may lag behind. The benchmark measures the cost of a message, not slow readers.
fn config() -> Config {
    Config { queue_messages: 65_536, queue_bytes: 64 * 1024 * 1024, message_rate: None, ..Config::default() }
}

struct Bench;

#[async_trait]
impl MessageHandler for Bench {
    async fn text(&self, session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        if let Some(command) = Command::parse(&text) {
            obey(session.hub(), command).await;
        }
        Ok(ControlFlow::Break(Reply::none()))
    }

    fn text_now(&self, _: &Session, text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
        match text.starts_with('{') {
            true => Some(Ok(ControlFlow::Continue(()))),
            false if Command::parse(text).is_none() => Some(Ok(ControlFlow::Break(Reply::text(text)))),
            false => None,
        }
    }

    async fn command(&self, _session: &Session, envelope: Envelope) -> HandlerResult {
        Ok(Push::new("01", "").with_json(envelope.body).into())
    }
}

async fn obey(hub: &Hub, command: Command) {
    match command {
        Command::Broadcast { count, size } => {
            for number in 0..count {
                hub.broadcast(Push::message(wire::broadcast_message(number, size))).await;
                pause(number).await;
            }
        }
        Command::BroadcastMany { count, size } => {
            let pushes: Vec<_> =
                (0..count).map(|number| Push::message(wire::broadcast_message(number, size))).collect();
            hub.broadcast(&pushes).await;
        }
        Command::PushMany { count, size, keys } => {
            let key = format!("user{}", Random::new(RandomState::new().hash_one(count)).below(keys));
            let pushes: Vec<_> =
                (0..count).map(|number| Push::message(wire::push_message(number, &key, size))).collect();
            hub.send_to(&key, &pushes).await;
        }
        Command::Push { count, size, keys } => {
            let mut random = Random::new(RandomState::new().hash_one(count));
            for number in 0..count {
                let key = format!("user{}", random.below(keys));
                let push = Push::message(wire::push_message(number, &key, size));
                hub.send_to(&key, push).await;
                pause(number).await;
            }
        }
    }
}

async fn pause(number: u64) {
    if (number + 1).is_multiple_of(PAUSE_EVERY) {
        tokio::task::yield_now().await;
    }
}
