//! Every time that can be set may be as short and as long as there is.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::cluster::presence::{MemoryPresence, PresenceTiming};
use keywire::cluster::{Cluster, MemoryBackplane};
use keywire::limits::{Limits, Rate};
use keywire::store::Recipients;
use keywire::{Config, Hub, Push, Reply, Session, Switch};
use serde_json::json;
use support::Server;

const YEAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

type Set = fn(&mut Config, Duration);

/// All of them: a new field does not compile before it stands here.
fn settings() -> Vec<(&'static str, Set)> {
    let Config {
        policy: _,
        limits:
            Limits {
                sessions: _,
                sessions_per_address: _,
                handshakes_per_address: _,
                proxies: _,
                non_exhaustive: (),
            },
        groups_per_session: _,
        message_bytes: _,
        message_rate: _,
        first_message_timeout: _,
        queue_messages: _,
        queue_bytes: _,
        slow_readers: _,
        ping_interval: _,
        pong_timeout: _,
        upgrade_timeout: _,
        close_timeout: _,
        handler_timeout: _,
        store_timeout: _,
        compression: _,
        non_exhaustive: (),
    } = Config::default();
    vec![
        ("message_rate", |config, time| config.message_rate = Some(Rate::new(1, time))),
        ("handshakes_per_address", |config, time| {
            config.limits.handshakes_per_address = Some(Rate::new(1, time));
        }),
        ("first_message_timeout", |config, time| config.first_message_timeout = Some(time)),
        ("ping_interval", |config, time| config.ping_interval = Some(time)),
        ("pong_timeout", |config, time| config.pong_timeout = time),
        ("upgrade_timeout", |config, time| config.upgrade_timeout = time),
        ("close_timeout", |config, time| config.close_timeout = time),
        ("handler_timeout", |config, time| config.handler_timeout = time),
        ("store_timeout", |config, time| config.store_timeout = time),
    ]
}

/// Each alone and all together: a session opens, answers, gets a push, and the server ends it.
#[tokio::test]
async fn a_time_may_be_as_long_as_there_is() {
    let all = settings();
    let alone = all.iter().map(|(name, set)| (*name, vec![*set]));
    let together = ("all", all.iter().map(|(_, set)| *set).collect());
    for (name, sets) in alone.chain([together]) {
        for time in [Duration::MAX, Duration::from_secs(u64::MAX / 2), YEAR * 100, YEAR] {
            let mut config = Config::default();
            sets.iter().for_each(|set| set(&mut config, time));
            let switch = Switch::new().command(async |_: Session, number: u64| {
                tokio::task::yield_now().await;
                Ok(Reply::data(number))
            });
            let hub = Hub::builder(RawKey::from_path()).handler(switch).config(config).build();
            let server = Server::start(hub).await;
            let mut alice = server.open("/websocket/alice").await;
            alice.send(json!({ "flag": "command", "body": 7 })).await;
            assert_eq!(alice.next().await["data"], 7, "{name}: {time:?}");
            assert_eq!(server.hub.send_to("alice", Push::data(8)).await.delivered, 1, "{name}: {time:?}");
            assert_eq!(alice.next().await["data"], 8, "{name}: {time:?}");
            let down = server.hub.clone();
            let down = tokio::spawn(async move { down.shutdown(Duration::MAX).await });
            assert_eq!(alice.end().await.code, 1001, "{name}: {time:?}");
            drop(alice);
            assert_eq!(support::within("the shutdown", down).await.expect("no panic"), 0, "{name}: {time:?}");
        }
    }
}

/// A limit of nothing ends sessions, and does nothing worse.
#[tokio::test]
async fn a_time_may_be_as_short_as_there_is() {
    for (name, set) in settings() {
        // A rate of nothing in no time is no rate, and is refused where it is made.
        if name == "message_rate" || name == "handshakes_per_address" {
            continue;
        }
        for time in [Duration::ZERO, Duration::from_nanos(1)] {
            let mut config = Config::default();
            set(&mut config, time);
            let server = Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await;
            let _ = server.raw().await;
            let mut alice = server.raw().await;
            alice.write(support::opening("/websocket/alice", &[]).as_bytes()).await;
            assert_eq!(alice.head().await.status, 101, "{name}");
            server.hub.disconnect("alice").await;
            drop(alice);
            support::until("the end", async || match server.hub.counts().await.sessions {
                0 => Ok(()),
                sessions => Err(format!("{name}: {sessions} sessions")),
            })
            .await;
        }
    }
}

/// The times of a cluster and of presence: a push reaches another node before and after an outage.
#[tokio::test]
async fn the_times_of_a_cluster_may_be_as_short_and_as_long_as_there_is() {
    type SetBoth = fn(Cluster, &mut PresenceTiming, Duration) -> Cluster;
    let settings: [(&str, SetBoth); 6] = [
        ("answer_timeout", |cluster, _, time| cluster.answer_timeout(time)),
        ("publish_timeout", |cluster, _, time| cluster.publish_timeout(time)),
        ("subscribe_timeout", |cluster, _, time| cluster.subscribe_timeout(time)),
        ("outage_delay", |cluster, _, time| cluster.outage_delay(time)),
        ("delay", |cluster, timing, time| {
            timing.delay = time;
            cluster
        }),
        ("lease", |cluster, timing, time| {
            timing.lease = time;
            cluster
        }),
    ];
    for (name, set) in settings {
        for time in [Duration::MAX, YEAR * 100, Duration::ZERO, Duration::from_nanos(1)] {
            let (backplane, presence) = (MemoryBackplane::new(), MemoryPresence::new());
            let node = || {
                let mut timing = PresenceTiming::default();
                let cluster = Cluster::from(backplane.join()).presence(presence.clone());
                let cluster = set(cluster, &mut timing, time);
                Hub::builder(RawKey::from_path()).cluster(cluster).presence_timing(timing).build()
            };
            let (one, other) = (Server::start(node()).await, Server::start(node()).await);
            let mut alice = other.client("alice").await;
            for number in 0..2 {
                one.hub.send_to("alice", Push::data(number)).await;
                support::within("the answers", one.hub.cluster_members("room", 1)).await;
                let question = Push::message("").with_flag("visible");
                let everyone = Recipients::everyone();
                let asked = one.hub.request(everyone, question, Duration::from_millis(1)).await;
                let mut answers = asked.expect("a stream");
                assert_eq!(support::within("the end", answers.next()).await, None, "{name}: {time:?}");
                assert_eq!(alice.next().await["data"], number, "{name}: {time:?}");
                backplane.set_available(false);
                backplane.set_available(true);
            }
            drop(alice);
            let all = [one.hub.shutdown(Duration::ZERO).await, other.hub.shutdown(Duration::ZERO).await];
            assert!(all[0] == 0 && all[1] <= 1, "{name}: {time:?}");
        }
    }
}
