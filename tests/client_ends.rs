//! How the Rust client ends: what it makes of each close code, and of what it has accepted.
#![cfg(all(feature = "client", feature = "warp"))]

mod support;

use std::time::Duration;

use keywire::auth::RawKey;
use keywire::client::{Client, Event, Events, Message, RequestError, SendError};
use keywire::session::CloseCode;
use keywire::{Envelope, Hub, Reply, Session, Switch};
use support::keywire_client::{QUICK, client, client_of, closed, last, next, opened};
use support::{CLOSE, PeerListener, Server, events, frame, within};

/// The one table of what a close code asks for: from, to, and whether a client comes back.
fn table() -> Vec<(u16, u16, bool)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md");
    let documentation = std::fs::read_to_string(path).expect("the documentation");
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let (from, to) = cells.get(1)?.split_once('–').unwrap_or((cells[1], cells[1]));
        let returns = match *cells.get(2)? {
            "yes" => true,
            "no" => false,
            _ => return None,
        };
        Some((from.parse().ok()?, to.parse().ok()?, returns))
    };
    let rows: Vec<_> = documentation.lines().filter_map(row).collect();
    assert_eq!(rows.iter().map(|(from, to, _)| to - from + 1).sum::<u16>(), 5000, "{rows:?}");
    rows
}

#[tokio::test]
async fn every_close_code_asks_for_what_the_table_says() {
    let table = table();
    let returns = |code| table.iter().any(|&(from, to, returns)| returns && (from..=to).contains(&code));
    for code in (0..5000).filter_map(CloseCode::new) {
        assert_eq!(code.is_retryable(), returns(code.into()), "{code}");
    }
    // The others cannot be made, but a server may send them: what is near a border, and no code at all.
    let listener = PeerListener::bind();
    let borders = table.iter().flat_map(|&(from, to, _)| [from, from.saturating_add(1), to - 1, to]);
    let codes = borders.chain([1012, 1013, 1014, 1015, 5000, 65535]);
    let payloads = codes.map(|code| code.to_be_bytes().to_vec()).chain([vec![], vec![3]]);
    for payload in payloads {
        let (_client, mut ends) = client_of(&listener.url).fixed_delay(Duration::MAX).connect();
        listener.welcome().await.write(&frame(CLOSE, &payload, None)).await;
        opened(&mut ends).await;
        let end = closed(&mut ends).await;
        let sent = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        let code = sent.unwrap_or(1005);
        assert_eq!(end.returns_in.is_some(), returns(code) || code >= 5000, "{sent:?}: {end:?}");
        assert!([code, 1005, 1006].contains(&end.code.into()), "{sent:?}: {end:?}");
    }
}

/// A server that tells what it gets.
async fn telling() -> (Server, support::Events<String>) {
    let (tell, told) = events();
    let switch = Switch::new().command(move |_: Session, envelope: Envelope| {
        let _ = tell.send(envelope.body.as_str().to_owned());
        std::future::ready(Ok(Reply::none()))
    });
    (Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await, told)
}

#[tokio::test]
async fn what_was_accepted_is_sent_before_the_end() {
    let (server, mut told) = telling().await;
    for way in ["close", "close a clone", "drop all"] {
        let (client, mut ends) = client(&server).key("alice").queue(100).connect();
        opened(&mut ends).await;
        (0..100).for_each(|n| client.command((way, n)).expect("accepted"));
        match way {
            "close" => {
                client.close();
                assert!(matches!(client.command("late"), Err(SendError::Closed)));
                within("the end", client.closed()).await;
                assert_eq!(last(&mut ends).await.0, 1000);
            }
            "close a clone" => {
                client.clone().close();
                assert_eq!(last(&mut ends).await.0, 1000);
            }
            _ => {
                drop(ends);
                drop(client);
            }
        }
        for n in 0..100 {
            assert_eq!(told.next("a message").await, format!(r#"["{way}",{n}]"#));
        }
    }
}

#[tokio::test]
async fn more_than_a_socket_takes_at_once_is_sent_before_the_end_too() {
    let listener = PeerListener::bind();
    let (client, mut ends) = client_of(&listener.url).connect();
    let mut peer = listener.welcome().await;
    opened(&mut ends).await;
    let body = "x".repeat(1 << 20);
    (0..20).for_each(|_| client.command(&body).expect("accepted"));
    let pending = tokio::spawn({
        let client = client.clone();
        async move { client.request("the last").await }
    });
    // The queue is full of it before anybody reads.
    tokio::task::yield_now().await;
    client.close();
    for _ in 0..20 {
        assert!(peer.frame().await.1.len() > body.len());
    }
    let (_, request) = peer.frame().await;
    assert!(String::from_utf8(request).expect("a text").contains("the last"));
    assert_eq!(peer.frame().await, (CLOSE, vec![3, 232]));
    // An answer that comes before the server's goodbye is an answer.
    peer.write(&frame(support::TEXT, br#"{"code":"00","msg":"done","id":1}"#, None)).await;
    peer.write(&frame(CLOSE, &[3, 232], None)).await;
    assert_eq!(pending.await.expect("a task").expect("a reply").msg, "done");
    assert_eq!(last(&mut ends).await.0, 1000);
}

/// What is reported as not sent, up to the end.
async fn unsent(events: &mut Events) -> (Vec<Message>, u16) {
    let mut unsent = Vec::new();
    loop {
        match next(events).await {
            Event::Unsent(message) => unsent.push(message),
            Event::Closed(end) if end.returns_in.is_none() => return (unsent, end.code.into()),
            _ => {}
        }
    }
}

/// Three messages and a request, of which the caller hears.
async fn accepts(client: &Client) -> tokio::task::JoinHandle<Result<keywire::Push, RequestError>> {
    (0..3).for_each(|n| client.command(n).expect("accepted"));
    let asking = client.clone();
    let (sent, posted) = tokio::sync::oneshot::channel();
    let request = tokio::spawn(async move {
        let request = asking.request("asked");
        tokio::pin!(request);
        // Once it was polled, it is in the queue.
        tokio::select! {
            biased;
            reply = &mut request => return reply,
            () = std::future::ready(()) => {}
        }
        let _ = sent.send(());
        request.await
    });
    posted.await.expect("a request");
    request
}

#[tokio::test]
async fn what_is_not_sent_is_reported() {
    let bodies = |unsent: &[Message]| unsent.iter().map(|message| format!("{message:?}")).collect::<Vec<_>>();

    // While there is nobody to connect to, and by a server that lets nobody in.
    let nowhere = client_of("ws://127.0.0.1:9").fixed_delay(Duration::MAX).connect();
    let server = Server::start(Hub::builder(RawKey::from_path()).build()).await;
    let (refused, mut refusals) = client(&server).fixed_delay(QUICK).connect();
    let request = accepts(&refused).await;
    let (lost, code) = unsent(&mut refusals).await;
    assert_eq!((lost.len(), code), (3, 4501), "{:?}", bodies(&lost));
    assert!(matches!(request.await.expect("a task"), Err(RequestError::Lost)));

    let (client, mut ends) = nowhere;
    assert!(closed(&mut ends).await.returns_in.is_some());
    let request = accepts(&client).await;
    client.close();
    let (lost, code) = unsent(&mut ends).await;
    assert_eq!((lost.len(), code), (3, 1000), "{:?}", bodies(&lost));
    assert!(matches!(request.await.expect("a task"), Err(RequestError::Lost)));
    within("the end", client.closed()).await;

    // What is reported can be sent again.
    let (server, mut told) = telling().await;
    let (again, _events) = self::client(&server).key("alice").connect();
    lost.into_iter().for_each(|message| again.send(message).expect("accepted"));
    for n in 0..3 {
        assert_eq!(told.next("a message").await, n.to_string());
    }
}

#[tokio::test]
async fn a_server_that_takes_nothing_does_not_keep_a_close() {
    let listener = PeerListener::bind();
    let (client, mut ends) = client_of(&listener.url).pong_timeout(5 * QUICK).connect();
    let _peer = listener.welcome().await;
    opened(&mut ends).await;
    let body = "x".repeat(1 << 20);
    (0..20).for_each(|_| client.command(&body).expect("accepted"));
    client.close();
    let (lost, code) = unsent(&mut ends).await;
    // Some went into the buffers of the system; who knows what became of those.
    assert!((1..=20).contains(&lost.len()) && code == 1000, "{} {code}", lost.len());
}
