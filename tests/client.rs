//! The Rust client against real servers.
#![cfg(all(feature = "client", feature = "warp"))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use keywire::adapter::Handshake;
use keywire::auth::{CredentialSource, RawKey, Rejection};
use keywire::client::{
    Client, ClientError, Credential, End, Event, Events, Message, RequestError, SendError,
};
use keywire::limits::SessionPolicy;
use keywire::session::CloseCode;
use keywire::store::Recipients;
use keywire::{
    Config, Envelope, Hub, Identity, Key, KeyExtractor, Push, Reply, Session, Switch, async_trait,
};
use support::keywire_client::{QUICK, client, last, next, opened, pushed};
use support::{Server, until, within};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// Answers a command with its body, relays an inform.
fn hub() -> Hub {
    let relay = |session: Session, envelope: Envelope| async move {
        let to = envelope.reception.unwrap_or_else(|| session.key().clone());
        let push = Push::data(&envelope.body).with_flag("inform").with_sender(session.key());
        session.hub().send_to(&to, push).await;
        Ok(Reply::none())
    };
    let switch = Switch::new()
        .command(|_: Session, envelope: Envelope| async move { Ok(Reply::data(&envelope.body)) })
        .inform(relay)
        .on("quiet", |_: Session, _: Envelope| async { Ok(Reply::none()) });
    Hub::builder(RawKey::from_path()).handler(switch).build()
}

#[tokio::test]
async fn it_talks() {
    let server = Server::start(hub()).await;
    // For ever is a time too.
    let [request, attempt, heartbeat, pong] = [Duration::MAX; 4];
    let patient = client(&server).key("alice").request_timeout(request).attempt_timeout(attempt);
    let (alice, mut hers) = patient.heartbeat(heartbeat).pong_timeout(pong).connect();
    let (_bob, mut his) = client(&server).key("bo/b ü").connect();
    opened(&mut hers).await;
    opened(&mut his).await;
    let reply = alice.request([1, 2]).await.expect("a reply");
    assert_eq!((reply.code.as_str(), reply.data.expect("data").as_str()), ("01", "[1,2]"));
    alice.inform("bo/b ü", "hello").expect("sent");
    let push = pushed(&mut his).await;
    assert_eq!(push.data.expect("data").as_str(), r#""hello""#);
    assert_eq!(push.sender.expect("a sender").as_str(), "alice");
    let reply = alice.request_with(Message::new("nothing", ())).await.expect("a reply");
    assert_eq!(reply.code.as_str(), "44");
}

#[tokio::test]
async fn it_ends_when_it_is_closed_or_forgotten() {
    let server = Server::start(hub()).await;
    let gone = || {
        until("the session leaves", async || match server.hub.counts().await.sessions {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        })
    };

    let (alice, mut events) = client(&server).key("alice").connect();
    opened(&mut events).await;
    alice.clone().close();
    assert_eq!(last(&mut events).await, (1000, String::new()));
    assert!(matches!(alice.command(1), Err(SendError::Closed)));
    assert!(matches!(alice.request(1).await, Err(RequestError::Send(SendError::Closed))));
    gone().await;

    // One of the two is enough to live on.
    let (alice, mut events) = client(&server).key("alice").connect();
    opened(&mut events).await;
    drop(alice);
    server.hub.send_to("alice", Push::message("still there?")).await;
    assert_eq!(pushed(&mut events).await.msg, "still there?");
    drop(events);
    gone().await;

    let (alice, events) = client(&server).key("alice").connect();
    drop(events);
    alice.request(1).await.expect("a reply");
    drop(alice);
    gone().await;

    // While there is nobody to connect to.
    let nowhere = Client::builder("ws://127.0.0.1:9").expect("a URL").fixed_delay(Duration::from_secs(3600));
    let (client, mut events) = nowhere.connect();
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::Connection(_))));
    let Event::Closed(end) = next(&mut events).await else { panic!("no end") };
    assert_eq!((u16::from(end.code), end.returns_in), (1006, Some(Duration::from_secs(3600))));
    client.close();
    assert_eq!(last(&mut events).await.0, 1000);
}

async fn expect(events: &mut Events, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let data = pushed(events).await.data.expect("data");
        assert_eq!(data.parse::<u32>().expect("a number"), number);
    }
}

#[tokio::test]
async fn what_is_sent_meanwhile_arrives_once_and_in_order() {
    let mut server = Server::start(hub()).await;
    let (alice, mut events) = client(&server).key("alice").queue(1000).connect();
    opened(&mut events).await;
    for first in [0, 300, 600] {
        let (live, queued) = (first..first + 150, first + 150..first + 300);
        live.clone().for_each(|n| alice.inform("", n).expect("sent"));
        expect(&mut events, live).await;
        let (pending, ()) = tokio::join!(alice.request_with(Message::new("quiet", ())), async {
            // Answered after the request was taken, which never is.
            alice.inform("", 7).expect("sent");
            expect(&mut events, 7..8).await;
            let (addr, hub) = (server.addr, server.hub.clone());
            // Nobody is there to come back to.
            server.stop();
            hub.close_sessions(&Recipients::everyone(), CloseCode::RESTART, "").await;
            let Event::Closed(end) = next(&mut events).await else { panic!("no end") };
            assert_eq!(end.code, CloseCode::RESTART);
            queued.clone().for_each(|n| alice.inform("", n).expect("queued"));
            server = Server::start_on(addr, "websocket", self::hub()).await;
        });
        assert!(matches!(pending, Err(RequestError::Lost)), "{pending:?}");
        opened(&mut events).await;
        expect(&mut events, queued).await;
    }
}

#[tokio::test]
async fn the_queue_is_bounded_and_requests_in_it_settle() {
    let nowhere = Client::builder("ws://127.0.0.1:9").expect("a URL").queue(2).request_timeout(QUICK);
    let (client, mut events) = nowhere.connect();
    assert!(matches!(client.request(1).await, Err(RequestError::Timeout)));
    client.command(2).expect("queued");
    assert!(matches!(client.command(3), Err(SendError::Full)));
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(matches!(client.command(no_json), Err(SendError::Json(_))));
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::Connection(_))));
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_not_sent() {
    let mut server = Server::start(hub()).await;
    let (client, mut events) = client(&server).key("alice").request_timeout(QUICK).connect();
    opened(&mut events).await;
    let (addr, hub) = (server.addr, server.hub.clone());
    drop(server);
    hub.close_sessions(&Recipients::everyone(), CloseCode::RESTART, "").await;
    let Event::Closed(_) = next(&mut events).await else { panic!("no end") };
    let echo = || Message::inform("", "of the past");
    assert!(matches!(client.request_with(echo()).await, Err(RequestError::Timeout)));
    client.inform("", 7).expect("queued");
    server = Server::start_on(addr, "websocket", self::hub()).await;
    loop {
        match next(&mut events).await {
            Event::Push(push) => break assert_eq!(push.data.expect("data").as_str(), "7"),
            Event::Closed(End { returns_in: Some(_), .. }) | Event::Failed(_) | Event::Open => {}
            other => panic!("{other:?}"),
        }
    }
    drop(server);
}

#[tokio::test]
async fn a_close_code_says_whether_it_comes_back() {
    let config = Config { policy: SessionPolicy::Replace, ..Config::default() };
    let server = Server::start(Hub::builder(RawKey::from_path()).config(config).build()).await;
    let (_first, mut replaced) = client(&server).key("alice").connect();
    opened(&mut replaced).await;
    let (_second, mut events) = client(&server).key("alice").connect();
    opened(&mut events).await;
    assert_eq!(last(&mut replaced).await.0, 4504);

    for code in [CloseCode::RESTART, CloseCode::EXPIRED, CloseCode::new(3000).expect("a code")] {
        server.hub.close_sessions(&Recipients::everyone(), code, "for now").await;
        let Event::Closed(end) = next(&mut events).await else { panic!("no end") };
        assert_eq!((end.code, &*end.reason), (code, "for now"));
        assert!(end.returns_in.is_some_and(|delay| delay <= 2 * QUICK));
        opened(&mut events).await;
    }
    server.hub.disconnect("alice").await;
    assert_eq!(last(&mut events).await, (4505, "disconnected".into()));

    // A refusal is said by a code as well, and is no connection.
    let (_nobody, mut events) = client(&server).connect();
    assert_eq!(last(&mut events).await, (4501, "missing".into()));

    let (_carol, mut events) = client(&server).key("carol").connect();
    opened(&mut events).await;
    let hub = server.hub.clone();
    let down = tokio::spawn(async move { hub.shutdown(Duration::from_secs(5)).await });
    let Event::Closed(end) = next(&mut events).await else { panic!("no end") };
    assert_eq!(end.code, CloseCode::DRAIN);
    // Not by its own law, but within the window.
    assert!(end.returns_in.is_some_and(|delay| delay <= Duration::from_secs(5)));
    down.await.expect("a shutdown");
}

#[tokio::test]
async fn whoever_answers_otherwise_or_not_at_all_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let builder = Client::builder(&url).expect("a URL").delays(QUICK, QUICK).attempt_timeout(5 * QUICK);
    let (_client, mut events) = builder.connect();
    let (mut stream, _) = within("a client", listener.accept()).await.expect("a connection");
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.expect("written");
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::Status(404))));
    assert!(matches!(next(&mut events).await, Event::Closed(End { returns_in: Some(_), .. })));
    // Accepted by the system, and answered by nobody.
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::Timeout)));
    assert!(matches!(next(&mut events).await, Event::Closed(End { returns_in: Some(_), .. })));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let server = Server::start(hub()).await;
    // Passes everything on until it is told to stop, and leaves the connections as they are.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/websocket", listener.local_addr().expect("an address"));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let target = server.addr;
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = listener.accept().await {
            let mut stopped = stopped.clone();
            stopped.mark_unchanged();
            tokio::spawn(async move {
                let mut outer = TcpStream::connect(target).await.expect("the server");
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
                    _ = stopped.changed() => std::future::pending().await,
                }
            });
        }
    });
    let builder = Client::builder(&url).expect("a URL").key("alice").heartbeat(QUICK).pong_timeout(5 * QUICK);
    let (_client, mut events) = builder.delays(QUICK, QUICK).connect();
    opened(&mut events).await;
    stop.send(true).expect("a proxy");
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::Timeout)));
    assert!(matches!(next(&mut events).await, Event::Closed(End { returns_in: Some(_), .. })));
    opened(&mut events).await;
}

#[tokio::test]
async fn a_credential_may_stand_anywhere() {
    for place in [
        CredentialSource::Path,
        CredentialSource::Query("token".into()),
        CredentialSource::Bearer,
        CredentialSource::Cookie("session".into()),
        CredentialSource::Header("x-key".into()),
        CredentialSource::Subprotocol,
    ] {
        let expected = place.clone();
        let keys = TheOnly(expected);
        let server = Server::start(Hub::builder(keys).build()).await;
        let (_client, mut events) = client(&server).key("alice").at(place.clone()).connect();
        opened(&mut events).await;
        assert_eq!(server.hub.sessions("alice").await.len(), 1, "{place:?}");
    }
}

/// Takes a key out of one place.
struct TheOnly(CredentialSource);

#[async_trait]
impl KeyExtractor for TheOnly {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        let text = match &self.0 {
            CredentialSource::Path => handshake.path_key()?.map(Into::into),
            CredentialSource::Query(name) => handshake.query(name)?,
            CredentialSource::Bearer => handshake.bearer()?.map(Into::into),
            CredentialSource::Cookie(name) => handshake.cookie(name)?.map(Into::into),
            CredentialSource::Header(name) => handshake.header(&**name)?.map(Into::into),
            _ => handshake.protocol_token()?,
        };
        let key = Key::new(text.ok_or(Rejection::Missing)?).map_err(|_| Rejection::Malformed)?;
        Ok(Identity::new(key))
    }
}

/// Passes that say for how many seconds they are good.
struct Passes;

impl Passes {
    fn check(pass: &str) -> Result<Identity, Rejection> {
        let (key, seconds) = pass.split_once('+').ok_or(Rejection::Invalid)?;
        let seconds: u64 = seconds.parse().map_err(|_| Rejection::Invalid)?;
        let key = Key::new(key).map_err(|_| Rejection::Invalid)?;
        Ok(Identity::new(key).with(seconds).expiring_at(SystemTime::now() + Duration::from_secs(seconds)))
    }
}

#[async_trait]
impl KeyExtractor for Passes {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        Self::check(handshake.bearer()?.ok_or(Rejection::Missing)?)
    }

    async fn refresh(&self, pass: &str) -> Result<Identity, Rejection> {
        Self::check(pass)
    }
}

#[tokio::test]
async fn a_credential_that_was_asked_for_is_exchanged_in_time() {
    let server = Server::start(Hub::builder(Passes).build()).await;
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let passes = move || {
        let n = count.fetch_add(1, Ordering::Relaxed);
        async move {
            // Nothing to be had, good for 5 s, refused, at last a long one.
            let (pass, seconds) = match n {
                0 => return Err("the login is down"),
                1 => ("alice+5", 5),
                2 => ("alice", 5),
                _ => ("alice+3600", 3600),
            };
            Ok(Credential::new(pass).expiring_at(SystemTime::now() + Duration::from_secs(seconds)))
        }
    };
    let (_client, mut events) = client(&server).keys(passes).at(CredentialSource::Bearer).connect();
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::NoCredential(_))));
    opened(&mut events).await;
    assert!(matches!(next(&mut events).await, Event::Failed(ClientError::Refused(code)) if code == "41"));
    until("the session is renewed", async || match server.hub.sessions("alice").await[0].identity().get() {
        Some(&3600_u64) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}
