//! What the Rust client takes for a sign of life, and every time that it can be given.
#![cfg(all(feature = "client", feature = "warp"))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use keywire::auth::{CredentialSource, RawKey};
use keywire::client::{ClientBuilder, ClientError, Credential, Event};
use keywire::session::CloseCode;
use keywire::store::Recipients;
use keywire::{Envelope, Hub, Reply, Session, Switch};
use support::keywire_client::{QUICK, client, client_of, closed, next, opened, pushed};
use support::{PING, PeerListener, Server, TEXT, frame, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

/// Longer than any machine is busy with something else.
const PATIENT: Duration = Duration::from_secs(20);

fn echo() -> Hub {
    let switch = Switch::new()
        .command(|_: Session, envelope: Envelope| async move { Ok(Reply::data(&envelope.body)) });
    Hub::builder(RawKey::from_path()).handler(switch).build()
}

type Setter = fn(ClientBuilder, Duration) -> ClientBuilder;

/// Each time that can be set, and whether a connection is possible with none of it.
const TIMES: [(&str, Setter, bool); 9] = [
    ("delays, min", |builder, time| builder.delays(time, QUICK), true),
    ("delays, max", |builder, time| builder.delays(QUICK, time), true),
    ("fixed_delay", ClientBuilder::fixed_delay, true),
    ("settle", ClientBuilder::settle, true),
    ("attempt_timeout", ClientBuilder::attempt_timeout, false),
    ("heartbeat", ClientBuilder::heartbeat, true),
    ("pong_timeout", ClientBuilder::pong_timeout, true),
    ("renew", ClientBuilder::renew, true),
    ("request_timeout", ClientBuilder::request_timeout, true),
];

#[test]
fn each_time_of_the_builder_is_in_the_list() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/builder.rs");
    let source = std::fs::read_to_string(path).expect("the source");
    let taken = source
        .lines()
        .filter(|line| line.trim_start().starts_with("pub fn "))
        .map(|line| line.matches(": Duration").count());
    assert_eq!(taken.sum::<usize>(), TIMES.len());
}

#[tokio::test]
async fn every_time_may_be_none_or_for_ever() {
    for (name, set, with_none) in TIMES {
        for time in
            [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40), Duration::ZERO]
        {
            let server = Server::start(echo()).await;
            let fresh = || async {
                let end = SystemTime::now() + Duration::from_secs(3600);
                Ok::<_, std::io::Error>(Credential::new("alice").expiring_at(end))
            };
            let (client, mut events) = set(client(&server).keys(fresh), time).connect();
            if time.is_zero() && !with_none {
                // A timer has a millisecond, in which a server on the same machine may answer.
                let event = next(&mut events).await;
                assert!(
                    matches!(event, Event::Open | Event::Failed(ClientError::Timeout)),
                    "{name}: {event:?}"
                );
                continue;
            }
            opened(&mut events).await;
            let reply = client.request(name).await;
            match reply {
                Ok(reply) => assert_eq!(reply.data.expect("data").as_str(), format!("{name:?}")),
                Err(error) => assert!(name == "request_timeout" && time.is_zero(), "{name}: {error}"),
            }
            server.hub.close_sessions(&Recipients::everyone(), CloseCode::RESTART, "").await;
            let end = closed(&mut events).await;
            assert!(end.returns_in.is_some(), "{name} {time:?}: {end:?}");
            if end.returns_in.is_some_and(|delay| delay < PATIENT) {
                opened(&mut events).await;
            }
            client.close();
            within("the end", client.closed()).await;
        }
    }
}

#[tokio::test]
async fn all_times_may_be_for_ever_at_once() {
    let server = Server::start(echo()).await;
    let mut builder = client(&server).key("alice");
    for (_, set, _) in TIMES {
        builder = set(builder, Duration::MAX);
    }
    let (client, mut events) = builder.connect();
    opened(&mut events).await;
    client.request(1).await.expect("a reply");
    server.hub.close_sessions(&Recipients::everyone(), CloseCode::RESTART, "").await;
    assert_eq!(closed(&mut events).await.returns_in, Some(Duration::MAX));
    client.close();
    within("the end", client.closed()).await;
}

/// Passes everything on, and tells how often the client sent something.
async fn counting(target: std::net::SocketAddr) -> (String, mpsc::UnboundedReceiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/websocket", listener.local_addr().expect("an address"));
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((inner, _)) = listener.accept().await {
            let outer = TcpStream::connect(target).await.expect("the server");
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (inner.into_split(), outer.into_split());
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                    let _ = tell.send(n);
                    if to_server.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        }
    });
    (url, told)
}

#[tokio::test]
async fn a_long_command_does_not_end_a_living_connection() {
    let release = Arc::new(Notify::new());
    let held = release.clone();
    let switch = Switch::new().command(move |_: Session, ()| {
        let held = held.clone();
        async move {
            held.notified().await;
            Ok(Reply::ok("done"))
        }
    });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let (url, mut sent) = counting(server.addr).await;
    let builder =
        client_of(&url).key("alice").heartbeat(QUICK).pong_timeout(PATIENT).request_timeout(Duration::MAX);
    let (client, mut events) = builder.connect();
    opened(&mut events).await;
    let command = tokio::spawn(async move { client.request(()).await });
    // The command, and then one question after another, each of which is asked only when the one before was answered.
    for _ in 0..10 {
        tokio::select! {
            n = within("a question", sent.recv()) => assert!(n.is_some()),
            event = next(&mut events) => panic!("{event:?}"),
        }
    }
    release.notify_one();
    assert_eq!(command.await.expect("a task").expect("a reply").msg, "done");
}

#[tokio::test]
async fn a_message_that_is_still_arriving_is_a_sign_of_life() {
    let listener = PeerListener::bind();
    // Each question is the first after a sign of life, so this many of them take longer than heartbeat and pong.
    let pong = Duration::from_secs(2);
    let (_client, mut events) = client_of(&listener.url).heartbeat(QUICK).pong_timeout(pong).connect();
    let mut peer = listener.welcome().await;
    opened(&mut events).await;
    let message = frame(TEXT, format!(r#"{{"code":"01","msg":"{}"}}"#, "x".repeat(100)).as_bytes(), None);
    // Each is followed by a little more of the message, and by no answer.
    let pieces: Vec<_> = message.chunks(40).collect();
    for piece in &pieces[..pieces.len() - 1] {
        assert_eq!(peer.frame().await, (PING, vec![]));
        peer.write(piece).await;
    }
    peer.write(pieces[pieces.len() - 1]).await;
    assert_eq!(pushed(&mut events).await.msg.len(), 100);
}

#[tokio::test]
async fn a_message_that_is_still_taken_is_a_sign_of_life() {
    let listener = PeerListener::bind();
    // Longer than pong, taken piece by piece.
    let pong = Duration::from_secs(2);
    let (client, mut events) = client_of(&listener.url).heartbeat(QUICK).pong_timeout(pong).connect();
    let mut peer = listener.welcome().await;
    opened(&mut events).await;
    client.command("x".repeat(24 << 20)).expect("accepted");
    let reading = async {
        let mut piece = vec![0; 1 << 20];
        let mut slowly = tokio::time::interval(pong / 10);
        for _ in 0..24 {
            slowly.tick().await;
            peer.stream.read_exact(&mut piece).await.expect("a connection that goes on");
        }
    };
    within("the message", reading).await;
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test]
async fn neither_side_waits_for_the_other_to_read() {
    let listener = PeerListener::bind();
    let (client, mut events) = client_of(&listener.url).heartbeat(PATIENT).pong_timeout(PATIENT).connect();
    let mut peer = listener.welcome().await;
    opened(&mut events).await;
    let long = "x".repeat(12 << 20);
    client.command(&long).expect("accepted");
    // The server reads no more until its own message is taken.
    let push = frame(TEXT, format!(r#"{{"code":"01","msg":"{long}"}}"#).as_bytes(), None);
    peer.write(&push).await;
    assert_eq!(pushed(&mut events).await.msg.len(), long.len());
    assert!(peer.frame().await.1.len() > long.len());
}

#[tokio::test]
async fn what_the_client_sends_is_no_sign_of_life() {
    let listener = PeerListener::bind();
    let (client, mut events) = client_of(&listener.url).heartbeat(QUICK).pong_timeout(5 * QUICK).connect();
    let _peer = listener.welcome().await;
    opened(&mut events).await;
    let mut often = tokio::time::interval(QUICK / 4);
    let failed = within("a failure", async {
        loop {
            tokio::select! {
                _ = often.tick() => drop(client.command("still there?")),
                event = events.next() => break event,
            }
        }
    });
    assert!(matches!(failed.await, Some(Event::Failed(ClientError::Timeout))));
}

#[tokio::test]
async fn a_credential_that_never_comes_is_said_to_be_that() {
    let server = Server::start(echo()).await;
    let never = || std::future::pending::<Result<Credential, std::io::Error>>();
    let (_client, mut events) = client(&server).keys(never).attempt_timeout(QUICK).connect();
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::NoCredential(_))));

    // Nor does a fresh one that never comes keep it from asking again.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let once = move || {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if !first {
                std::future::pending::<()>().await;
            }
            let end = SystemTime::now() + Duration::from_secs(6);
            Ok::<_, std::io::Error>(Credential::new("alice").expiring_at(end))
        }
    };
    let builder = client(&server).keys(once).at(CredentialSource::Path).renew(PATIENT);
    let (_client, mut events) = builder.attempt_timeout(Duration::from_millis(200)).connect();
    opened(&mut events).await;
    for _ in 0..2 {
        assert!(matches!(next(&mut events).await, Event::Failed(ClientError::NoCredential(_))));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn with_a_heartbeat_of_none_nobody_is_asked() {
    let listener = PeerListener::bind();
    let (client, mut events) = client_of(&listener.url).heartbeat(Duration::ZERO).connect();
    let mut peer = listener.welcome().await;
    opened(&mut events).await;
    for _ in 0..20 {
        client.command(()).expect("accepted");
        assert_eq!(peer.frame().await.0, TEXT);
    }
}
