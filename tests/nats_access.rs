//! keywire as a user of NATS that may do what docs/cluster.md says, and nothing else.
#![cfg(all(feature = "nats", feature = "testing"))]

mod support;

use keywire::cluster::Nats;
use keywire::log::Retention;
use keywire::testing;
use support::{Directory, NatsServer};

/// The part of the page that makes the user.
fn configuration() -> &'static str {
    let page = include_str!("../docs/cluster.md");
    let begin = page.find("authorization {").expect("the part");
    page[begin..].split("```").next().expect("its end")
}

#[tokio::test]
async fn a_user_with_few_permissions_is_enough() {
    let directory = Directory::new("nats-access");
    let file = directory.0.join("nats.conf");
    std::fs::write(&file, configuration()).expect("a file");
    let server = NatsServer::start_with("access", &["-js", "-V", "-c", file.to_str().expect("a path")]);
    let url = format!("nats://keywire:PASSWORD@{}", server.address());
    let limits = Retention { entries: 5, ..Retention::default() };
    let few = Nats::options().retention(limits).connect(&url).await.expect("a node");
    testing::log::trims_beyond(&few.log().expect("a log"), 5).await;
    // The settings of the streams change.
    let [a, b] = [Nats::connect(&url).await.expect("a node"), Nats::connect(&url).await.expect("a node")];
    testing::backplane::all(&a, &b).await;
    testing::log::all(&a.log().expect("a log")).await;
    testing::presence::all(&a.presence().expect("presence")).await;
    let log = server.log();
    assert!(!log.contains("Violation"), "nothing was refused");
    // Nobody else is there, so what was not asked for is not needed.
    let unused: Vec<_> = requests().filter(|subject| !log.contains(&format!("PUB {subject}"))).collect();
    assert_eq!(unused, [""; 0]);
}

/// The requests that the user may make, without those that are needed sometimes.
fn requests() -> impl Iterator<Item = &'static str> {
    let always = configuration().split("# If").next().expect("a beginning");
    let subjects = always.split('"').filter(|subject| subject.starts_with("$JS."));
    subjects.map(|subject| subject.trim_end_matches('>'))
}
