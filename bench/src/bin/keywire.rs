//! The keywire bench server: an endpoint of `keywire::serve`, raw keys, the real hub, store and handler types.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;

use clap::Parser;
use keywire::auth::RawKey;
use keywire::cluster::presence::MemoryPresence;
use keywire::handler::HandlerError;
use keywire::message::Text;
use keywire::{Config, Envelope, HandlerResult, Hub, MessageHandler, Push, Reply, Session, async_trait};
use keywire_bench::server;
use keywire_bench::wire::own::{self, OwnCommand};
use keywire_bench::wire::{self, Command, PAUSE_EVERY, Random};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use warp::Filter as _;

/// keywire's bench server.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    server: server::Options,

    /// Serve by warp and keywire's adapter for it, and not by `keywire::serve`.
    #[arg(long)]
    warp: bool,

    /// Keep a record of who is online.
    #[arg(long)]
    presence: bool,
}

fn main() {
    let options = Options::parse();
    let listen = options.server.listen;
    let runtime = options.server.runtime();
    // Presence begins a task.
    let entered = runtime.enter();
    let mut hub = Hub::builder(RawKey::from_path()).handler(Bench).config(config());
    if options.presence {
        hub = hub.presence(MemoryPresence::new());
    }
    let hub = hub.build();
    drop(entered);
    // Runs on a worker, not on the thread that waits here.
    let server = runtime.spawn(async move {
        if options.warp {
            warp::serve(keywire::adapter::warp::websocket("websocket", hub)).run(listen).await;
        } else {
            let listener = TcpListener::bind(listen).await.expect("a free address");
            let pages = warp::service(warp::path("health").map(|| "fine"));
            keywire::serve(listener, pages).websocket("/websocket", &hub).run().await;
        }
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
        } else if let Some(command) = OwnCommand::parse(&text) {
            return Ok(ControlFlow::Break(obey_own(session, command).await?));
        } else {
            return Ok(ControlFlow::Break(Reply::text(&text)));
        }
        Ok(ControlFlow::Break(Reply::none()))
    }

    fn text_now(&self, _: &Session, text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
        match text.as_bytes().first() {
            Some(b'{') => Some(Ok(ControlFlow::Continue(()))),
            // Perhaps a command.
            Some(b'A'..=b'Z') => None,
            _ => Some(Ok(ControlFlow::Break(Reply::text(text)))),
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

async fn obey_own(session: &Session, command: OwnCommand) -> Result<Reply, HandlerError> {
    let hub = session.hub().clone();
    match command {
        OwnCommand::PushFromThread { count, size, keys } => {
            let runtime = Handle::current();
            std::thread::spawn(move || {
                runtime.block_on(obey(&hub, Command::Push { count, size, keys }));
            });
            Ok(Reply::none())
        }
        OwnCommand::Join { first, count, rooms } => {
            for number in first..first + count {
                session.join(own::room(number % rooms)).await?;
            }
            Ok(Reply::text(own::JOINED))
        }
        OwnCommand::PushToGroups { count, size, rooms } => {
            let mut random = Random::new(RandomState::new().hash_one(count));
            for number in 0..count {
                let room = own::room(random.below(rooms));
                let text = wire::push_message(number, &room, size.saturating_sub(own::group_field(&room)));
                hub.send_to_group(&*room, Push::message(text)).await;
                pause(number).await;
            }
            Ok(Reply::none())
        }
    }
}

async fn pause(number: u64) {
    if (number + 1).is_multiple_of(PAUSE_EVERY) {
        tokio::task::yield_now().await;
    }
}
