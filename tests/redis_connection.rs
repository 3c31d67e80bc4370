//! `Redis::connect`: what it accepts, and what it says about what it does not accept.
#![cfg(feature = "redis")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use keywire::cluster::{Backplane, Redis, RedisError, Topic};
use support::redis::{RedisServer, answering, free_port};
use support::within;

async fn refused(url: &str) -> (RedisError, String) {
    let options = Redis::options().connect_timeout(Duration::from_secs(2));
    let error = within("an answer", options.connect(url)).await.expect_err("a refusal");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("secret"), "{shown}");
    (error, shown)
}

#[tokio::test]
async fn each_way_to_the_server_works() {
    let server = RedisServer::start().await;
    let socket = format!("unix://{}?db=3", server.socket().display());
    for url in [server.url(), format!("{}/2", server.url()), socket] {
        let redis = Redis::connect(&url).await.expect("a connection");
        redis.publish(&Topic::ALL, Bytes::from_static(b"a")).await.expect("it is there");
        assert_eq!(redis.node(), redis.clone().node());
    }
}

#[tokio::test]
async fn a_password_is_needed_and_never_shown() {
    let server = RedisServer::start_with(&["--requirepass", "right"]).await;
    let right = format!("redis://:right@127.0.0.1:{}", server.port());
    let redis = Redis::connect(right).await.expect("a connection");
    assert!(!format!("{redis:?}").contains("right"));
    for login in ["", ":secret@", "default:secret@", "nobody:secret@"] {
        let (error, shown) = refused(&format!("redis://{login}127.0.0.1:{}", server.port())).await;
        assert!(matches!(error, RedisError::Unauthorized { .. }), "{login} {shown}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_fit_is_named() {
    let port = free_port();
    let (error, shown) = refused(&format!("redis://:secret@127.0.0.1:{port}")).await;
    assert!(matches!(error, RedisError::Unreachable { .. }) && shown.contains(&port.to_string()), "{shown}");

    let old: &[u8] = b"*4\r\n+server\r\n+redis\r\n+version\r\n+6.0.16\r\n";
    let replica: &[u8] = b"*6\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+role\r\n+replica\r\n";
    let cluster: &[u8] = b"*6\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+mode\r\n+cluster\r\n";
    let sentinel: &[u8] = b"*6\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+mode\r\n+sentinel\r\n";
    for (answer, part) in [
        (old, "6.0.16, and keywire needs 6.2"),
        (b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n", "needs 6.2"),
        (b"-NOPROTO unsupported protocol version\r\n", "needs 6.2"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not Redis"),
        (b"+OK\r\n", "is not Redis"),
        (b"*1\r\n$-1\r\n", "is not Redis"),
        (b"-ERR max number of clients reached\r\n", "max number of clients"),
        (replica, "is a replica"),
        (cluster, "redis+cluster://"),
        (sentinel, "redis+sentinel://"),
        (b"$10\r\nnever ends", "timed out"),
    ] {
        let (address, _server) = answering(answer).await;
        let (_, shown) = refused(&format!("redis://:secret@{address}")).await;
        assert!(shown.contains(part), "{shown}");
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Whom the system trusts is read from the environment, which belongs to the process: so the client has one of its own.
#[tokio::test]
async fn a_server_is_known_by_its_certificate() {
    let (port, chain, key) =
        (free_port().to_string(), fixture("tls-localhost.pem"), fixture("tls-localhost.private.pem"));
    let tls =
        ["--tls-port", &port, "--tls-cert-file", &chain, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let _server = RedisServer::start_with(&tls).await;
    for (authority, said) in [("tls-authority.pem", "connected"), ("tls-other.pem", "InvalidCertificate")] {
        let child = tokio::process::Command::new(std::env::current_exe().expect("a test"))
            .args(["--exact", "the_client", "--ignored", "--nocapture"])
            .env("SSL_CERT_FILE", fixture(authority))
            .env_remove("SSL_CERT_DIR")
            .env("KEYWIRE_TEST_URL", format!("rediss://localhost:{port}"))
            .kill_on_drop(true)
            .output();
        let output = within("the client", child).await.expect("a child");
        let output = String::from_utf8_lossy(&output.stdout);
        assert!(output.contains(said), "{authority}: {output}");
    }
}

#[tokio::test]
async fn an_authority_and_a_certificate_of_its_own() {
    let port = free_port().to_string();
    let [chain, key, clients] =
        ["tls-localhost.pem", "tls-localhost.private.pem", "tls-clients.pem"].map(fixture);
    let files = ["--tls-cert-file", &chain, "--tls-key-file", &key, "--tls-ca-cert-file", &clients];
    let tls = [&["--tls-port", &port, "--tls-auth-clients", "yes"][..], &files].concat();
    let server = RedisServer::start_with(&tls).await;
    let (url, authority) = (format!("rediss://localhost:{port}"), fixture("tls-authority.pem"));
    let known = || {
        let (chain, key) = (fixture("tls-client.pem"), fixture("tls-client.private.pem"));
        Redis::options().ca_file(&authority).client_certificate(chain, key)
    };
    let redis = known().connect(&url).await.expect("a connection");
    redis.subscribe(&Topic::ALL).await.expect("a subscription");
    for options in [
        known().ca_file(fixture("tls-other.pem")),
        // The server wants to know its clients.
        Redis::options().ca_file(&authority),
    ] {
        let error = options.connect(&url).await.expect_err("a refusal");
        assert!(matches!(error, RedisError::Unreachable { .. }), "{error:?}");
    }
    let error =
        known().client_certificate(fixture("tls-client.pem"), fixture("nowhere.pem")).connect(&url).await;
    assert!(matches!(error, Err(RedisError::Tls(_))));
    let error = known().connect(server.url()).await;
    assert!(matches!(error, Err(RedisError::Options(_))), "the certificates would do nothing");
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn the_client() {
    let Ok(url) = std::env::var("KEYWIRE_TEST_URL") else { return };
    match Redis::connect(url).await {
        Ok(redis) => {
            redis.subscribe(&Topic::ALL).await.expect("a subscription");
            let large = Bytes::from(vec![b'a'; 1 << 20]);
            redis.publish(&Topic::ALL, large.clone()).await.expect("a publication");
            let event = within("the message", redis.next()).await;
            assert_eq!(event, keywire::cluster::Event::Message { topic: Topic::ALL, message: large });
            println!("connected");
        }
        Err(error) => println!("{error:?}"),
    }
}

#[tokio::test]
async fn settings_are_checked() {
    for prefix in ["", "a{b"] {
        let error =
            Redis::options().prefix(prefix).connect("redis://127.0.0.1:1").await.expect_err("a refusal");
        assert!(matches!(error, RedisError::Options(_)), "{error}");
    }
    let (error, _) = refused("redis://:secret@h:x").await;
    assert!(matches!(error, RedisError::Url(_)), "{error}");
    let options = Redis::options().sentinel_login("", "secret");
    assert!(!format!("{options:?}").contains("secret"));
}
