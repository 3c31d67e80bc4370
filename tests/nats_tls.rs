//! The connection to NATS over TLS: whom it trusts is the system's choice.
#![cfg(feature = "nats")]

mod support;

use std::error::Error as _;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use keywire::Key;
use keywire::cluster::{Backplane, Nats, NatsError, Topic};
use support::{NatsServer, within};
use tokio::process::Command;

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What the system trusts is read from the environment, which is the process's: so the client has one of its own.
async fn says(url: &str, authority: &str) -> String {
    let child = Command::new(std::env::current_exe().expect("a test"))
        .args(["--exact", "the_client", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", fixture(authority))
        .env_remove("SSL_CERT_DIR")
        .env("KEYWIRE_TEST_URL", url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = within("the client", child).await.expect("a child");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Not a test of its own: the process with the client.
#[tokio::test]
#[ignore = "the child of the other tests"]
async fn the_client() {
    let Ok(url) = std::env::var("KEYWIRE_TEST_URL") else { return };
    match Nats::options().without_log().without_presence().connect(&url).await {
        Ok(nats) => {
            let topic = Topic::key(&Key::new("alice").expect("a key"));
            nats.publish(&topic, Bytes::from_static(b"1")).await.expect("a message");
            println!("published");
        }
        Err(error) => println!("failed: {error}: {:?}", error.source().map(ToString::to_string)),
    }
}

#[tokio::test]
async fn a_server_is_known_by_its_certificate() {
    let (certificate, key) = (fixture("tls-localhost.pem"), fixture("tls-localhost.private.pem"));
    let tls = ["--tls", "--tlscert", &certificate, "--tlskey", &key, "--auth", "secret"];
    let server = NatsServer::start_with("tls", &tls);
    let address = server.address().replace("127.0.0.1", "localhost");
    // The server demands TLS, whatever the URL says.
    for scheme in ["tls", "nats"] {
        let url = format!("{scheme}://secret@{address}");
        let said = says(&url, "tls-authority.pem").await;
        assert!(said.contains("published"), "{scheme}: {said}");
        let said = says(&url, "tls-other.pem").await;
        assert!(said.contains("failed: TLS") && said.contains("certificate"), "{scheme}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn an_authority_and_a_certificate_of_its_own() {
    let [chain, key, clients] =
        ["tls-localhost.pem", "tls-localhost.private.pem", "tls-clients.pem"].map(fixture);
    let tls = ["--tlsverify", "--tlscert", &chain, "--tlskey", &key, "--tlscacert", &clients];
    let server = NatsServer::start_with("tls-own", &tls);
    let url = format!("nats://{}", server.address().replace("127.0.0.1", "localhost"));
    let core = || Nats::options().without_log().without_presence().timeout(Duration::from_secs(2));
    let authority = fixture("tls-authority.pem");
    let known = || {
        let (chain, key) = (fixture("tls-client.pem"), fixture("tls-client.private.pem"));
        core().ca_file(&authority).client_certificate(chain, key)
    };
    let nats = known().connect(&url).await.expect("a connection");
    nats.publish(&Topic::ALL, Bytes::from_static(b"1")).await.expect("a message");
    let error = known().ca_file(fixture("tls-other.pem")).connect(&url).await.expect_err("another authority");
    assert!(matches!(error, NatsError::Tls { .. }), "{error:?}");
    // The server wants to know its clients.
    core().ca_file(&authority).connect(&url).await.expect_err("no certificate");
    let error =
        known().client_certificate(fixture("tls-client.pem"), fixture("nowhere.pem")).connect(&url).await;
    assert!(matches!(error, Err(NatsError::Tls { .. })));

    let plain = NatsServer::start_with("tls-not", &[]);
    let error = known().connect(&plain.url()).await.expect_err("no TLS");
    assert!(matches!(error, NatsError::Tls { .. }), "{error:?}");
}
