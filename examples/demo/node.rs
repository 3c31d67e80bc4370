//! A node of the cluster, as pages show it: its name, its keys, and the changes of presence that it reports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keywire::message::Code;
use keywire::{HandlerResult, Hub, Key, Push, Reply, Session};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::watch::{GROUP, Watchers};

/// Interval of reports. A page takes a node that is silent for some of them for dead.
const INTERVAL: Duration = Duration::from_secs(1);

/// Number of keys in a report.
const MAX_KEYS: usize = 40;

/// This node.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) engine: &'static str,
    pub(crate) peers: Vec<String>,
    pub(crate) killable: bool,
    /// The number of sessions here, by key.
    keys: Mutex<BTreeMap<Key, usize>>,
}

#[derive(Serialize)]
struct Report<'a> {
    node: String,
    name: &'a str,
    is_connected: bool,
    sessions: usize,
    keys: Vec<(Key, usize)>,
    /// Number of keys that are not listed.
    more: usize,
}

impl Node {
    pub(crate) fn new(name: String, engine: &'static str, peers: Vec<String>, killable: bool) -> Self {
        Self { name, engine, peers, killable, keys: Mutex::default() }
    }

    /// The part of `GET /config` for this node.
    pub(crate) fn config(&self, hub: &Hub) -> Value {
        json!({
            "engine": self.engine,
            "node": short(hub),
            "name": self.name,
            "peers": self.peers,
            "killable": self.killable,
        })
    }

    /// A session has opened.
    pub(crate) fn opened(&self, session: &Session) {
        *self.lock().entry(session.key().clone()).or_default() += 1;
    }

    /// A session has closed.
    pub(crate) fn closed(&self, session: &Session) {
        let mut keys = self.lock();
        if let Some(sessions) = keys.get_mut(session.key()) {
            *sessions -= 1;
            if *sessions == 0 {
                keys.remove(session.key());
            }
        }
    }

    /// The state of this node. The flag `here` tells a page that this is its node, and `node` that it is one of the cluster.
    pub(crate) fn report(&self, hub: &Hub, flag: &str) -> Push {
        let is_connected = hub.health().cluster.is_some_and(|cluster| cluster.is_connected);
        let all = self.lock();
        let keys: Vec<_> =
            all.iter().take(MAX_KEYS).map(|(key, sessions)| (key.clone(), *sessions)).collect();
        let report = Report {
            node: short(hub),
            name: &self.name,
            is_connected,
            sessions: all.values().sum(),
            more: all.len() - keys.len(),
            keys,
        };
        Push::data(report).with_flag(flag)
    }

    /// Reports to the pages of all nodes, now and then and at each change of presence, until the process ends.
    pub(crate) fn start(self: Arc<Self>, hub: Hub, watchers: Arc<Watchers>) {
        tokio::spawn(async move {
            let mut changes = hub.presence_changes();
            let mut due = tokio::time::interval(INTERVAL);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    change = changes.next() => match change {
                        // Each change is reported on one node, so it goes to the pages of all nodes.
                        Some(Ok(change)) => {
                            hub.send_to_group(GROUP, Push::data(change).with_flag("presence")).await;
                        }
                        // The reports of the nodes have their keys.
                        Some(Err(_)) => {}
                        None => return,
                    },
                    // The counts of the cluster also change on other nodes, and when a lease ends.
                    _ = due.tick() => watchers.tell(&hub).await,
                }
            }
        });
    }

    /// `kill`: this process ends at once, as if its machine had lost power.
    pub(crate) fn kill(&self) -> HandlerResult {
        if self.killable { die() } else { Ok(Reply::error(Code::FORBIDDEN, "--killable is not set")) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, usize>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends this process at once.
pub(crate) fn die() -> ! {
    eprintln!("killed by a client");
    std::process::abort();
}

/// The beginning of the node's id, which is enough to tell a few nodes apart.
fn short(hub: &Hub) -> String {
    hub.node().to_string().chars().take(6).collect()
}
