//! Shared code of the peers: the users of the chat examples, and the commands of a bench server.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use keywire_bench::wire::{self, Command, PAUSE_EVERY, Random};
use tokio::sync::RwLock;
use tokio::sync::mpsc::{Sender, UnboundedSender};

/// The connected users, as in warp's chat example: a static map of the senders of their queues.
pub type Users<S> = Arc<RwLock<HashMap<String, S>>>;

/// The sending end of a session's queue.
pub trait Queue<M>: Clone + Send + Sync + 'static {
    /// Queues a message. A message for a session that has ended is dropped.
    fn put(&self, message: M);
}

impl<M: Send + 'static> Queue<M> for UnboundedSender<M> {
    fn put(&self, message: M) {
        let _ = self.send(message);
    }
}

impl<M: Send + 'static> Queue<M> for Sender<M> {
    fn put(&self, message: M) {
        let _ = self.try_send(message);
    }
}

/// Handles a text frame. Everything it sends goes through the queues.
pub async fn obey<M, S>(users: &Users<S>, own: &S, text: &str, message: impl Fn(String) -> M)
where
    M: Clone,
    S: Queue<M>,
{
    match Command::parse(text) {
        Some(command) => spread(users, command, message).await,
        None => own.put(message(answer(text))),
    }
}

/// The reply to a text that is no command: the text, or the reply to its JSON.
pub fn answer(text: &str) -> String {
    if text.starts_with('{') { wire::command_reply(text).unwrap_or_default() } else { text.to_owned() }
}

/// Sends the messages of a command.
pub async fn spread<M, S>(users: &Users<S>, command: Command, message: impl Fn(String) -> M)
where
    M: Clone,
    S: Queue<M>,
{
    match command {
        Command::Broadcast { count, size } | Command::BroadcastMany { count, size } => {
            for number in 0..count {
                let broadcast = message(wire::broadcast(number, size));
                for user in users.read().await.values() {
                    user.put(broadcast.clone());
                }
                pause(number).await;
            }
        }
        Command::Push { count, size, keys } | Command::PushMany { count, size, keys } => {
            let mut random = Random::new(RandomState::new().hash_one(count));
            for number in 0..count {
                let key = format!("user{}", random.below(keys));
                if let Some(user) = users.read().await.get(&key) {
                    user.put(message(wire::push(number, &key, size)));
                }
                pause(number).await;
            }
        }
    }
}

/// Yields after every `PAUSE_EVERY` messages.
pub async fn pause(number: u64) {
    if (number + 1).is_multiple_of(PAUSE_EVERY) {
        tokio::task::yield_now().await;
    }
}
