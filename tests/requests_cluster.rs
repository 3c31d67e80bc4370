//! Requests to sessions of several nodes, over real sockets.
#![cfg(feature = "warp")]

mod support;

use std::time::Duration;

use keywire::Config;
use keywire::cluster::MemoryBackplane;
use keywire::session::CloseCode;
use keywire::store::{Recipients, Remote};
use serde_json::json;
use support::asking::{LONG, all, answer, asked, key, nodes, question, received, start};
use support::{until, within};

#[tokio::test]
async fn the_sessions_of_all_nodes_answer_in_one_stream() {
    let (_, [one, other, third]) = nodes().await;
    let (mut here, _) = one.page("alice").await;
    let (mut there, session) = other.page("alice").await;
    let (mut tab, _) = other.page("alice").await;
    let (mut bob, _) = third.page("bob").await;
    let mut plain = other.client("alice").await;

    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    // The first answer comes from another node, while those of this node wait.
    answer(&mut there, json!("there")).await;
    let first = within("an answer", answers.next()).await.expect("an answer");
    assert_eq!((first.session, &first.key), (session.id(), &key("alice")));
    assert_eq!(first.answer.unwrap().body::<String>().unwrap(), "there");
    answer(&mut here, json!("here")).await;
    let request = asked(&mut tab).await;
    tab.send(json!({ "flag": "kw:answer", "id": request["id"], "error": "no camera" })).await;
    assert_eq!(all(&mut answers).await, ["alice: \"here\"", "alice: Failed(\"no camera\")"]);
    assert_eq!((answers.asked(), answers.skipped(), answers.remote()), (3, 1, Some(Remote::Published)));
    assert_eq!(answers.next().await, None);
    for client in [&mut here, &mut there, &mut tab, &mut bob, &mut plain] {
        client.ping().await;
    }
    assert_eq!(received(&third), 0, "nothing comes to a node without the key");
}

#[tokio::test]
async fn several_keys_and_a_group_and_all_and_all_but_one_and_one_are_asked() {
    let (_, [one, other]) = nodes().await;
    let (mut alice, _) = other.page("alice").await;
    let (mut bob, of_bob) = other.page("bob").await;
    let (mut carol, _) = one.page("carol").await;
    of_bob.join("room").await.expect("a member");

    let keys = Recipients::keys([key("alice"), key("bob"), key("nobody")]);
    let mut answers = one.hub.request(keys, question(), LONG).await.expect("a stream");
    for client in [&mut alice, &mut bob] {
        answer(client, json!(1)).await;
    }
    assert_eq!(all(&mut answers).await, ["alice: 1", "bob: 1"]);

    let group = Recipients::group("room".parse().unwrap());
    let mut answers = one.hub.request(group, question(), LONG).await.expect("a stream");
    assert_eq!(answer(&mut bob, json!(2)).await["group"], "room");
    assert_eq!(all(&mut answers).await, ["bob: 2"]);

    let mut answers = one.hub.request(Recipients::everyone(), question(), LONG).await.expect("a stream");
    for client in [&mut alice, &mut bob, &mut carol] {
        answer(client, json!(3)).await;
    }
    assert_eq!(all(&mut answers).await, ["alice: 3", "bob: 3", "carol: 3"]);

    let others = Recipients::everyone().except(&of_bob);
    let mut answers = one.hub.request(others, question(), LONG).await.expect("a stream");
    for client in [&mut alice, &mut carol] {
        answer(client, json!(4)).await;
    }
    assert_eq!(all(&mut answers).await, ["alice: 4", "carol: 4"]);

    let mut answers =
        one.hub.request(Recipients::session(&of_bob), question(), LONG).await.expect("a stream");
    answer(&mut bob, json!(5)).await;
    assert_eq!(all(&mut answers).await, ["bob: 5"]);
    // A session that is found here is on no other node.
    let before = received(&one);
    let mut answers =
        other.hub.request(Recipients::session(&of_bob), question(), LONG).await.expect("a stream");
    assert_eq!((answers.asked(), answers.remote()), (1, Some(Remote::None)));
    answer(&mut bob, json!(6)).await;
    assert_eq!(all(&mut answers).await, ["bob: 6"]);
    for client in [&mut alice, &mut bob, &mut carol] {
        client.ping().await;
    }
    assert_eq!(received(&one), before);
}

#[tokio::test]
async fn every_result_of_a_session_comes_from_another_node() {
    let (_, [one, other]) = nodes().await;
    let (mut alice, session) = other.page("alice").await;
    let (_bob, of_bob) = other.page("bob").await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(one.hub.request(key("alice"), question(), LONG).await.expect("a stream"));
        asked(&mut alice).await;
    }
    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    assert_eq!(all(&mut answers).await, ["alice: TooMany { limit: 64 }"]);
    drop(streams);

    let mut answers = one.hub.request(key("bob"), question(), LONG).await.expect("a stream");
    until("the request", async || match within("a report", async { received(&one) }).await {
        // The sessions that were asked, 66 times, and one result.
        67.. => Ok(()),
        count => Err(format!("{count}")),
    })
    .await;
    of_bob.close(CloseCode::RESTART, "");
    assert_eq!(all(&mut answers).await, ["bob: Ended"]);
    session.close(CloseCode::NORMAL, "");
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_the_way_is_named() {
    let backplane = MemoryBackplane::new();
    let config = Config { message_bytes: 600_000, message_rate: None, ..Config::default() };
    let one = start(backplane.join().into(), config.clone()).await;
    let other = start(backplane.join().into(), config).await;
    let (mut here, _) = one.page("bob").await;
    let (mut there, _) = other.page("alice").await;
    let (mut tab, _) = other.page("alice").await;
    let both = Recipients::keys([key("alice"), key("bob")]);
    let mut answers = one.hub.request(both, question(), LONG).await.expect("a stream");
    for client in [&mut here, &mut there] {
        answer(client, json!("x".repeat(300_000))).await;
    }
    answer(&mut tab, json!("y".repeat(200_000))).await;
    let all = all(&mut answers).await;
    assert_eq!((all.len(), all[0].len(), &*all[1]), (3, 200_009, "alice: TooLarge { limit: 262122 }"));
    assert_eq!(all[2].len(), 300_007, "what is on this node needs no way");
}

#[tokio::test]
async fn sessions_of_other_nodes_that_do_not_answer_are_late() {
    let (_, [one, other]) = nodes().await;
    let (mut alice, _) = other.page("alice").await;
    let (mut tab, _) = one.page("alice").await;
    let timeout = Duration::from_secs(2);
    let mut answers = one.hub.request(key("alice"), question(), timeout).await.expect("a stream");
    let late = [asked(&mut alice).await, asked(&mut tab).await];
    assert_eq!(all(&mut answers).await, ["alice: TimedOut", "alice: TimedOut"]);
    assert_eq!((answers.asked(), answers.remote()), (2, Some(Remote::Published)));
    // A late answer, and one that comes twice, reach no stream.
    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    for (client, late) in [&mut alice, &mut tab].into_iter().zip(late) {
        let request = asked(client).await;
        client.send(json!({ "flag": "kw:answer", "id": late["id"], "body": "late" })).await;
        client.send(json!({ "flag": "kw:answer", "id": request["id"], "body": 1 })).await;
        client.send(json!({ "flag": "kw:answer", "id": request["id"], "body": 2 })).await;
        client.ping().await;
    }
    assert_eq!(all(&mut answers).await, ["alice: 1", "alice: 1"]);
}

#[tokio::test]
async fn a_dropped_stream_is_forgotten_on_all_nodes() {
    let (_, [one, other]) = nodes().await;
    let (mut alice, _) = other.page("alice").await;
    let (mut bob, _) = other.page("bob").await;
    let both = || Recipients::keys([key("alice"), key("bob")]);
    // More than may wait at a time.
    for number in 0..100 {
        let mut answers = one.hub.request(both(), question(), LONG).await.expect("a stream");
        for client in [&mut alice, &mut bob] {
            asked(client).await;
        }
        if number % 2 == 0 {
            // Also after an answer.
            let next = tokio::time::timeout(Duration::from_millis(1), answers.next()).await;
            assert!(next.is_err(), "{next:?}");
        }
        drop(answers);
        // The question to forget comes to the topic of each key.
        let expected = 4 * (number + 1);
        until("the end of the request", async || match received(&other) {
            count if count >= expected => Ok(()),
            count => Err(format!("{count} of {expected}")),
        })
        .await;
    }
    let mut answers = one.hub.request(both(), question(), LONG).await.expect("a stream");
    for client in [&mut alice, &mut bob] {
        answer(client, json!(1)).await;
    }
    assert_eq!(all(&mut answers).await, ["alice: 1", "bob: 1"]);
}

#[tokio::test]
async fn while_the_engine_is_away_sessions_of_this_node_answer() {
    let (backplane, [one, other]) = nodes().await;
    let (mut here, _) = one.page("alice").await;
    let (mut there, _) = other.page("alice").await;
    for is_first in [true, false] {
        backplane.set_available(false);
        let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
        answer(&mut here, json!("here")).await;
        assert_eq!(all(&mut answers).await, ["alice: \"here\""], "{is_first}");
        assert_eq!((answers.asked(), answers.remote()), (1, Some(Remote::Failed)));
        there.ping().await;

        backplane.set_available(true);
        let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
        for client in [&mut here, &mut there] {
            answer(client, json!("again")).await;
        }
        assert_eq!(all(&mut answers).await, ["alice: \"again\"", "alice: \"again\""]);
    }
}

#[tokio::test]
async fn the_end_of_a_node_ends_its_requests() {
    let (_, [one, other]) = nodes().await;
    let (mut alice, session) = other.page("alice").await;
    let mut answers = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    asked(&mut alice).await;
    until("the sessions that were asked", async || match received(&one) {
        0 => Err(String::new()),
        _ => Ok(()),
    })
    .await;
    other.hub.shutdown(Duration::from_secs(5)).await;
    assert_eq!(all(&mut answers).await, ["alice: Ended"]);
    drop((alice, session));
    // A stream outlives the hub that asks.
    let mut held = one.hub.request(key("alice"), question(), LONG).await.expect("a stream");
    drop((one, other));
    assert_eq!(all(&mut held).await, Vec::<String>::new());
}
