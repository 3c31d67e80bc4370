//! Nodes whose sessions are asked.

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::cluster::{Cluster, MemoryBackplane};
use keywire::session::Answers;
use keywire::{Config, Hub, Key, Push};
use serde_json::{Value, json};

use super::{Client, Server, until, within};

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Time for other nodes to say which sessions they ask. They need a fraction of it.
pub(crate) const WINDOW: Duration = Duration::from_millis(500);

pub(crate) fn question() -> Push {
    Push::message("?").with_flag("visible")
}

pub(crate) fn key(key: &str) -> Key {
    Key::new(key).expect("a key")
}

pub(crate) async fn start(cluster: Cluster, config: Config) -> Server {
    start_patient(cluster.answer_timeout(WINDOW), config).await
}

/// A node with the cluster's own time for answers.
pub(crate) async fn start_patient(cluster: Cluster, config: Config) -> Server {
    let hub = Hub::builder(RawKey::from_path()).config(config).cluster(cluster).build();
    let server = Server::start(hub).await;
    until("the cluster", async || match server.hub.health() {
        health if health.is_good() => Ok(()),
        health => Err(format!("{health:?}")),
    })
    .await;
    server
}

pub(crate) async fn nodes<const N: usize>() -> (MemoryBackplane, [Server; N]) {
    let backplane = MemoryBackplane::new();
    let mut servers = Vec::new();
    for _ in 0..N {
        servers.push(start(backplane.join().into(), Config::default()).await);
    }
    (backplane, servers.try_into().ok().expect("as many nodes"))
}

/// The next message, which is a request.
pub(crate) async fn asked(client: &mut Client) -> Value {
    let request = client.next().await;
    assert_eq!((&request["ask"], &request["flag"]), (&json!(true), &json!("visible")), "{request}");
    request
}

pub(crate) async fn answer(client: &mut Client, body: Value) -> Value {
    let request = asked(client).await;
    client.send(json!({ "flag": "kw:answer", "id": request["id"], "body": body })).await;
    request
}

/// All answers, sorted: key and result.
pub(crate) async fn all(answers: &mut Answers) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(answered) = within("the answers", answers.next()).await {
        let result = match answered.answer {
            Ok(answer) => answer.json().as_str().to_owned(),
            Err(error) => format!("{error:?}"),
        };
        all.push(format!("{}: {result}", answered.key));
    }
    all.sort();
    all
}

pub(crate) fn received(server: &Server) -> u64 {
    server.hub.health().cluster.expect("a cluster").received
}
