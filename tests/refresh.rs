//! `kw:refresh`: a session that outlives the credential it was opened with.
#![cfg(feature = "warp")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use keywire::adapter::Handshake;
use keywire::auth::{RawKey, Rejection};
use keywire::{Hub, Identity, Key, KeyExtractor, async_trait};
use serde_json::{Value, json};
use support::{Client, Server};
use tokio::io::{AsyncRead, AsyncWrite};

/// Lets in whoever says who they are and for how many milliseconds: `alice+1000`.
struct Passes;

impl Passes {
    fn check(pass: &str) -> Result<Identity, Rejection> {
        let (key, left) = pass.split_once('+').ok_or(Rejection::Invalid)?;
        let left: u64 = left.parse().map_err(|_| Rejection::Invalid)?;
        match key {
            "down" => return Err(Rejection::Unavailable),
            "banned" => return Err(Rejection::Forbidden),
            "broken" => panic!("the extractor is broken"),
            _ if left == 0 => return Err(Rejection::Expired),
            _ => {}
        }
        let key = Key::new(key).map_err(|_| Rejection::Invalid)?;
        let identity = Identity::new(key).with(left);
        Ok(identity.expiring_at(SystemTime::now() + Duration::from_millis(left)))
    }
}

#[async_trait]
impl KeyExtractor for Passes {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        Self::check(&handshake.query("pass")?.ok_or(Rejection::Missing)?)
    }

    async fn refresh(&self, credential: &str) -> Result<Identity, Rejection> {
        Self::check(credential)
    }
}

async fn server(keys: impl KeyExtractor) -> Server {
    Server::start(Hub::builder(keys).build()).await
}

async fn open(server: &Server, pass: &str) -> Client {
    let mut client = server.open(&format!("/websocket?pass={}", pass.replace('+', "%2B"))).await;
    client.ping().await;
    client
}

async fn refresh<S>(client: &mut Client<S>, body: impl Into<Value>) -> Value
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    client.ask(json!({ "flag": "kw:refresh", "body": body.into(), "id": 7 })).await
}

/// For how many milliseconds the credential said it is good.
async fn granted(server: &Server, key: &str) -> Option<u64> {
    server.hub.sessions(key).await[0].identity().get::<u64>().copied()
}

#[tokio::test]
async fn a_refreshed_session_outlives_its_first_credential() {
    let server = server(Passes).await;
    let mut refreshed = open(&server, "alice+3000").await;
    assert_eq!(
        refresh(&mut refreshed, "alice+3600000").await,
        json!({ "code": "00", "msg": "refreshed", "id": 7 })
    );
    assert_eq!(granted(&server, "alice").await, Some(3_600_000));

    // Opened later, and so its credential ends later than the first one's did.
    let mut other = open(&server, "bob+3000").await;
    assert_eq!(other.end().await.code, 4001);
    refreshed.ping().await;
}

#[tokio::test]
async fn a_credential_that_ends_earlier_changes_nothing() {
    let server = server(Passes).await;
    let mut client = open(&server, "alice+3600000").await;
    assert_eq!(refresh(&mut client, "alice+1000").await["code"], "00");
    assert_eq!(granted(&server, "alice").await, Some(3_600_000));
}

#[tokio::test]
async fn a_credential_that_is_not_good_leaves_the_session_as_it_is() {
    let server = server(Passes).await;
    let mut client = open(&server, "alice+3600000").await;
    for (body, code, msg) in [
        (json!("alice"), "41", "invalid"),
        (json!("alice+0"), "41", "expired"),
        (json!("banned+1"), "43", "forbidden"),
        (json!("down+1"), "50", "unavailable"),
        (json!("broken+1"), "50", "unavailable"),
        (json!(null), "40", "the body must be the credential"),
        (json!({ "token": "alice+1" }), "40", "the body must be the credential"),
    ] {
        let answer = refresh(&mut client, body.clone()).await;
        assert_eq!(answer, json!({ "code": code, "msg": msg, "id": 7 }), "{body}");
    }
    assert_eq!(granted(&server, "alice").await, Some(3_600_000));
}

#[tokio::test]
async fn the_credential_of_another_key_ends_the_session_for_good() {
    let server = server(Passes).await;
    let mut client = open(&server, "alice+3600000").await;
    client.send(json!({ "flag": "kw:refresh", "body": "bob+3600000" })).await;
    assert_eq!(client.end().await.code, 4507);
}

#[tokio::test]
async fn an_extractor_without_refresh_says_so() {
    let server = server(RawKey::from_path()).await;
    let mut client = server.client("alice").await;
    assert_eq!(refresh(&mut client, "alice").await["code"], "44");
}

#[tokio::test]
async fn either_of_two_extractors_may_know_the_credential() {
    let named = || Passes.map(|identity| identity.with("passes"));
    for server in
        [server(named().or(RawKey::from_path())).await, server(RawKey::from_path().or(named())).await]
    {
        let mut client = open(&server, "alice+1000000").await;
        assert_eq!(refresh(&mut client, "alice+3600000").await["code"], "00");
        assert_eq!(granted(&server, "alice").await, Some(3_600_000));
        assert_eq!(refresh(&mut client, "alice+0").await["msg"], "expired");
        // Mapped as at an opening.
        let identity = server.hub.sessions("alice").await[0].identity();
        assert_eq!(identity.get::<&str>(), Some(&"passes"));
    }
}

#[tokio::test]
async fn a_further_check_is_made_of_a_fresh_credential_too() {
    let keys = Passes.and_then(|identity: Identity| async move {
        if identity.get::<u64>() == Some(&13) { Err(Rejection::Missing) } else { Ok(identity) }
    });
    let server = server(keys).await;
    let mut client = open(&server, "alice+3600000").await;
    assert_eq!(refresh(&mut client, "alice+13").await["msg"], "invalid");
}

/// Counts how often it is asked, and takes no time.
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl KeyExtractor for Counting {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        RawKey::from_path().extract(handshake).await
    }

    async fn refresh(&self, _: &str) -> Result<Identity, Rejection> {
        self.0.fetch_add(1, Ordering::SeqCst);
        // As long as a signature takes.
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_micros(300) {}
        Err(Rejection::Invalid)
    }
}

#[tokio::test(start_paused = true)]
async fn few_credentials_are_checked_in_a_time() {
    let checked = Arc::new(AtomicUsize::new(0));
    let hub = Hub::builder(Counting(checked.clone())).build();
    let mut alice = Client::piped(&hub, "alice").await;
    for round in 1..=3 {
        for _ in 0..10 {
            assert_eq!(refresh(&mut alice, "forged").await["code"], "41");
        }
        for _ in 0..10 {
            let answer = refresh(&mut alice, "forged").await;
            assert_eq!(answer, json!({ "code": "29", "msg": "too many refreshes", "id": 7 }));
        }
        assert_eq!(checked.load(Ordering::SeqCst), 10 * round);
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    // Another session has its own.
    let mut bob = Client::piped(&hub, "bob").await;
    assert_eq!(refresh(&mut bob, "forged").await["code"], "41");
}

/// To check a signature computes for long. Between two checks everybody else who is ready has a turn, however many were
/// asked for, by however many sessions.
#[tokio::test]
async fn no_two_credentials_are_checked_in_a_row() {
    let checked = Arc::new(AtomicUsize::new(0));
    let hub = Hub::builder(Counting(checked.clone())).build();
    let mut clients = Vec::new();
    for key in ["alice", "bob", "carol"] {
        let mut client = Client::piped(&hub, key).await;
        client.ping().await;
        clients.push(client);
    }
    let asking = async {
        for client in &mut clients {
            for _ in 0..10 {
                client.send(json!({ "flag": "kw:refresh", "body": "forged" })).await;
            }
        }
        for client in &mut clients {
            for _ in 0..10 {
                assert_eq!(client.next().await["code"], "41");
            }
        }
    };
    let counted = checked.clone();
    let somebody_else = tokio::spawn(async move {
        let mut most = 0;
        let mut before = 0;
        while before < 30 {
            tokio::task::yield_now().await;
            let now = counted.load(Ordering::SeqCst);
            most = most.max(now - before);
            before = now;
        }
        most
    });
    asking.await;
    assert_eq!(support::within("the end", somebody_else).await.expect("no panic"), 1);
}

#[tokio::test]
async fn a_credential_that_expired_while_it_was_checked_is_expired() {
    struct Late;
    #[async_trait]
    impl KeyExtractor for Late {
        async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
            RawKey::from_path().extract(handshake).await
        }

        async fn refresh(&self, _: &str) -> Result<Identity, Rejection> {
            Ok(Identity::new(Key::new("alice").expect("a key")).expiring_at(SystemTime::now()))
        }
    }
    let server = server(Late).await;
    let mut alice = server.client("alice").await;
    assert_eq!(refresh(&mut alice, "late").await["msg"], "expired");
}
