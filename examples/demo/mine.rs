//! `command`: mines a block, as an example of long work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keywire::message::Code;
use keywire::{Envelope, HandlerResult, Hub, Key, Push, Reply, Session};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::relay::done;

/// Interval of progress pushes.
const PROGRESS: Duration = Duration::from_millis(250);

/// Number of searches at the same time. Each keeps a core busy.
const MAX_MINERS: usize = 16;

/// The body of a `command`.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Command {
    /// Find a nonce whose hash begins with this many zero bits. Each bit doubles the work.
    Mine { difficulty: u16 },
    /// Stop looking.
    Stop,
}

/// The searches, by key.
#[derive(Default)]
pub(crate) struct Miners(Mutex<HashMap<Key, Arc<Miner>>>);

/// One search, shared with its thread.
#[derive(Default)]
struct Miner {
    attempts: AtomicU64,
    stopped: AtomicBool,
}

#[derive(Serialize)]
struct Block {
    nonce: u64,
    hash: String,
    attempts: u64,
}

impl Miners {
    pub(crate) async fn command(self: Arc<Self>, session: Session, envelope: Envelope) -> HandlerResult {
        let (key, hub) = (session.key().clone(), session.hub().clone());
        Ok(match envelope.parse() {
            Ok(Command::Mine { difficulty: 1..=256 }) if self.lock().contains_key(&key) => {
                Reply::error(Code::FORBIDDEN, "mining already")
            }
            Ok(Command::Mine { difficulty: difficulty @ 1..=256 }) => match self.begin(&key) {
                Some(miner) => {
                    tokio::spawn(self.mine(hub, key, difficulty, miner));
                    done(&envelope, Push::message("mining"))
                }
                None => Reply::error(Code::SLOW_DOWN, "all miners are busy"),
            },
            Ok(Command::Mine { .. }) => Reply::error(Code::MALFORMED, "difficulty: 1 to 256 zero bits"),
            Ok(Command::Stop) if self.stop(&key) => {
                hub.send_to(&key, Push::message("stopped")).await;
                done(&envelope, Push::message("stopped"))
            }
            Ok(Command::Stop) => done(&envelope, Push::message("nothing to stop")),
            Err(error) => Reply::error(Code::MALFORMED, format!("body: {error}")),
        })
    }

    /// A session has closed. The last session of a key ends the search.
    pub(crate) async fn left(self: Arc<Self>, session: Session) {
        if session.hub().sessions(session.key()).await.is_empty() {
            self.stop(session.key());
        }
    }

    /// Begins a search, if fewer than [`MAX_MINERS`] run.
    fn begin(&self, key: &Key) -> Option<Arc<Miner>> {
        let mut miners = self.lock();
        if miners.len() >= MAX_MINERS {
            return None;
        }
        let miner = Arc::new(Miner::default());
        miners.insert(key.clone(), miner.clone());
        Some(miner)
    }

    /// Stops the search of a key. Returns whether there was one.
    fn stop(&self, key: &Key) -> bool {
        let miner = self.lock().remove(key);
        miner.inspect(|miner| miner.stopped.store(true, Ordering::Relaxed)).is_some()
    }

    async fn mine(self: Arc<Self>, hub: Hub, key: Key, difficulty: u16, miner: Arc<Miner>) {
        let mut search = tokio::task::spawn_blocking({
            let (key, miner) = (key.clone(), miner.clone());
            move || miner.search(&key, difficulty)
        });
        let mut progress = tokio::time::interval(PROGRESS);
        let found = loop {
            tokio::select! {
                biased;
                _ = progress.tick() => {
                    if !miner.stopped.load(Ordering::Relaxed) {
                        hub.send_to(&key, Push::data(miner.attempts.load(Ordering::Relaxed))).await;
                    }
                }
                found = &mut search => break found,
            }
        };
        if let Ok(Some(block)) = found
            && self.finish(&key, &miner)
        {
            hub.send_to(&key, Push::message("block mined").with_data(block)).await;
        }
    }

    /// Removes a search that has ended. Returns whether it was still there: stopping removes it too.
    fn finish(&self, key: &Key, miner: &Arc<Miner>) -> bool {
        let mut miners = self.lock();
        let present = miners.get(key).is_some_and(|present| Arc::ptr_eq(present, miner));
        if present {
            miners.remove(key);
        }
        present
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Miner>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Miner {
    /// Tries nonces on this thread until one fits or the search is stopped.
    fn search(&self, key: &Key, difficulty: u16) -> Option<Block> {
        let header = Sha256::new().chain_update(key.as_str()).chain_update(":");
        // A random start, so that two searches of one key differ. JavaScript counts to 2^53.
        let start = u64::from(rand::random::<u32>()) << 16;
        for attempts in 1.. {
            let nonce = start + attempts;
            let hash = header.clone().chain_update(nonce.to_string()).finalize();
            if leading_zeros(&hash) >= u32::from(difficulty) {
                let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                return Some(Block { nonce, hash, attempts });
            }
            if attempts % 1024 == 0 {
                self.attempts.store(attempts, Ordering::Relaxed);
                if self.stopped.load(Ordering::Relaxed) {
                    return None;
                }
            }
        }
        None
    }
}

fn leading_zeros(hash: &[u8]) -> u32 {
    let mut zeros = 0;
    for byte in hash {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}
