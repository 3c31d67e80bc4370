//! Sessions by key: who gets what is sent, and what a backend learns of it.
#![cfg(feature = "warp")]

mod support;

use keywire::auth::RawKey;
use keywire::session::CloseCode;
use keywire::store::{Counts, Outcome, Recipients, Remote};
use keywire::{Config, Hub, Push};
use serde_json::json;
use support::{Server, telling_ends};

fn hub() -> Hub {
    Hub::builder(RawKey::from_path()).build()
}

#[tokio::test]
async fn every_session_of_a_key_gets_what_is_sent_to_it() {
    let server = Server::start(hub()).await;
    let mut first = server.client("alice").await;
    let mut second = server.client("alice").await;
    let mut other = server.client("bob").await;

    let delivery = server.hub.send_to("alice", Push::message("hi").with_data([1])).await;
    assert_eq!((delivery.delivered, delivery.slow, delivery.remote), (2, 0, Remote::None));
    let expected = json!({ "code": "00", "msg": "hi", "data": [1] });
    assert_eq!(first.next().await, expected);
    assert_eq!(second.next().await, expected);

    // The first one is still there after the second came, and nobody else heard of it.
    first.ping().await;
    other.ping().await;
    assert_eq!(server.hub.counts().await, Counts { sessions: 3, keys: 2 });
}

#[tokio::test]
async fn counts_and_sessions_follow_who_comes_and_goes() {
    let (switch, mut ends) = telling_ends();
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let hub = &server.hub;
    assert_eq!(hub.counts().await, Counts::default());

    let mut oldest = server.client("alice").await;
    let _newest = server.client("alice").await;
    let _bob = server.client("bob").await;
    assert_eq!(hub.counts().await, Counts { sessions: 3, keys: 2 });
    let sessions = hub.sessions("alice").await;
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session.key().as_str() == "alice" && session.is_open()));
    assert!(sessions.iter().all(|session| session.peer().is_some_and(|peer| peer.ip().is_loopback())));
    assert_ne!(sessions[0].id(), sessions[1].id());

    // The oldest stands first: it is the one that gets this.
    sessions[0].send(Push::message("oldest"));
    assert_eq!(oldest.next().await["msg"], "oldest");

    oldest.close(1000, "").await;
    let (left, _) = ends.next("the end of the oldest").await;
    assert_eq!(left, sessions[0]);
    assert_eq!(hub.sessions("alice").await, [sessions[1].clone()]);
    assert_eq!(hub.counts().await, Counts { sessions: 2, keys: 2 });

    // Keys match exactly.
    for nobody in ["Alice", "alic", "alice ", ""] {
        assert_eq!(hub.sessions(nobody).await, [], "{nobody:?}");
    }
}

#[tokio::test]
async fn an_absent_key_is_told_so() {
    let server = Server::start(hub()).await;
    let mut alice = server.client("alice").await;
    for nobody in ["bob", "", "two\nlines", &"a".repeat(257)] {
        let delivery = server.hub.send_to(nobody, Push::message("lost")).await;
        assert!(delivery.is_absent(), "{nobody:?}: {delivery:?}");
        assert_eq!(delivery.delivered, 0);
        assert!(server.hub.disconnect(nobody).await.is_absent());
    }
    assert!(!server.hub.send_to("alice", Push::message("found")).await.is_absent());
    assert_eq!(alice.next().await["msg"], "found");
}

#[tokio::test]
async fn a_broadcast_reaches_everyone_and_an_exception_is_left_out() {
    let server = Server::start(hub()).await;
    let mut alice = server.client("alice").await;
    let mut again = server.client("alice").await;
    let mut bob = server.client("bob").await;

    assert_eq!(server.hub.broadcast(Push::message("all")).await.delivered, 3);
    for client in [&mut alice, &mut again, &mut bob] {
        assert_eq!(client.next().await["msg"], "all");
    }

    let sessions = server.hub.sessions("alice").await;
    let everyone_else = Recipients::everyone().except(&sessions[0]);
    assert_eq!(server.hub.send(&everyone_else, Push::message("others")).await.delivered, 2);
    let her_other = Recipients::key(sessions[0].key().clone()).except(&sessions[0]);
    assert_eq!(server.hub.send(&her_other, Push::message("her other")).await.delivered, 1);
    let one = Recipients::session(&sessions[0]);
    assert_eq!(server.hub.send(&one, Push::message("one")).await.delivered, 1);

    assert_eq!(alice.next().await["msg"], "one");
    assert_eq!(again.next().await["msg"], "others");
    assert_eq!(again.next().await["msg"], "her other");
    assert_eq!(bob.next().await["msg"], "others");
    for client in [&mut alice, &mut again, &mut bob] {
        client.ping().await;
    }
}

#[tokio::test]
async fn a_broadcast_to_nobody_reaches_nobody() {
    assert!(hub().broadcast(Push::message("")).await.is_absent());
}

#[tokio::test]
async fn disconnect_ends_every_session_of_a_key_for_good() {
    let server = Server::start(hub()).await;
    let mut first = server.client("alice").await;
    let mut second = server.client("alice").await;
    let mut bob = server.client("bob").await;

    server.hub.send_to("alice", Push::message("last words")).await;
    assert_eq!(server.hub.disconnect("alice").await.delivered, 2);
    for client in [&mut first, &mut second] {
        assert_eq!(client.next().await["msg"], "last words");
        assert_eq!(client.end().await.code, 4505);
    }
    bob.ping().await;
    assert_eq!(server.hub.counts().await, Counts { sessions: 1, keys: 1 });
}

#[tokio::test]
async fn a_code_of_the_applications_reaches_the_client_with_its_reason() {
    let server = Server::start(hub()).await;
    let mut alice = server.client("alice").await;
    let code = CloseCode::new(4321).unwrap();
    assert_eq!(server.hub.close_sessions(&Recipients::everyone(), code, "zoë").await.delivered, 1);
    let end = alice.end().await;
    assert_eq!((end.code, &*end.reason), (4321, "zoë"));
}

/// By several tasks at once, each session gets each task's pushes in that task's order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pushes_keep_their_order() {
    // Bounded by the test's own number: how fast the reader is must not matter here.
    let config = Config { queue_messages: 3_000, ..Config::default() };
    let server = Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await;
    let mut clients = [server.client("alice").await, server.client("alice").await];

    let senders = ["a", "b"].map(|name| {
        let hub = server.hub.clone();
        tokio::spawn(async move {
            for number in 0..1_000 {
                let push = Push::new(name, "").with_data(number);
                let delivery = hub.send_to("alice", push).await;
                assert_eq!(delivery.delivered, 2, "{name} {number}");
            }
        })
    });
    for client in &mut clients {
        let mut next = std::collections::HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 0)]);
        for _ in 0..2_000 {
            let push = client.next().await;
            let name = push["code"].as_str().expect("a code");
            let due = next.get_mut(name).expect("a sender");
            assert_eq!(push["data"], *due, "of {name}");
            *due += 1;
        }
    }
    for sender in senders {
        sender.await.unwrap();
    }
}

#[tokio::test]
async fn a_handle_outlives_its_session_without_harm() {
    let (switch, mut ends) = telling_ends();
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let mut alice = server.client("alice").await;
    let session = server.hub.sessions("alice").await.remove(0);
    assert!(session.is_open());

    alice.close(1000, "").await;
    ends.next("the end").await;
    assert!(!session.is_open());
    assert_eq!(session.send(Push::message("too late")), Outcome::Gone);
    assert_eq!(session.close(CloseCode::NORMAL, ""), Outcome::Gone);
    let to_it = Recipients::session(&session);
    assert!(server.hub.send(&to_it, Push::message("too late")).await.is_absent());
    assert_eq!(session.key().as_str(), "alice");
}
