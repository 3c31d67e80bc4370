//! The Rust client over TLS: whom it trusts is the system's choice.
#![cfg(all(feature = "client", feature = "warp"))]

mod support;

use std::process::Stdio;
use std::sync::Arc;

use keywire::auth::RawKey;
use keywire::client::{Client, ClientError, Event};
use keywire::{Hub, Reply, Switch};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::{Server, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(fixture("tls-localhost.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(fixture("tls-localhost.private.pem")).expect("a key");
    let backend = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(backend).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![chain], key);
    TlsAcceptor::from(Arc::new(config.expect("a key that fits")))
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

#[tokio::test]
async fn a_server_is_known_by_its_certificate() {
    let switch = Switch::new().command(|_, ()| async { Ok(Reply::ok("in private")) });
    let server = Server::start(Hub::builder(RawKey::from_path()).handler(switch).build()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("wss://localhost:{}/websocket", listener.local_addr().expect("an address").port());
    let (target, acceptor) = (server.addr, acceptor());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut inner) = acceptor.accept(stream).await else { continue };
            tokio::spawn(async move {
                let mut outer = TcpStream::connect(target).await.expect("the server");
                tokio::io::copy_bidirectional(&mut inner, &mut outer).await
            });
        }
    });
    let said = says(&url, "tls-authority.pem").await;
    assert!(said.contains("reply: in private"), "{said}");
    let said = says(&url, "tls-other.pem").await;
    assert!(said.contains("failed: ") && said.contains("certificate"), "{said}");
}

/// The same with the server's own TLS.
#[cfg(feature = "tls")]
#[tokio::test]
async fn a_server_speaks_tls_itself() {
    use keywire::serve::Tls;

    let switch = Switch::new().command(|_, ()| async { Ok(Reply::ok("in private")) });
    let hub = Hub::builder(RawKey::from_path()).handler(switch).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("wss://localhost:{}/websocket", listener.local_addr().expect("an address").port());
    let tls = Tls::files(fixture("tls-localhost.pem"), fixture("tls-localhost.private.pem")).expect("a pair");
    let routes = keywire::adapter::warp::websocket("websocket", hub);
    tokio::spawn(keywire::serve(listener, warp::service(routes)).tls(tls).run());
    let said = says(&url, "tls-authority.pem").await;
    assert!(said.contains("reply: in private"), "{said}");
}

#[tokio::test]
async fn a_system_without_authorities_is_said_to_be_that() {
    // A file that is not there, and one without certificates.
    for authority in ["no-such-file.pem", "README.md"] {
        let said = says("wss://localhost:1/websocket", authority).await;
        assert!(said.contains("no builder: Tls(") && said.contains("TLS cannot be set up: "), "{said}");
        assert!(!said.contains("URL"), "{said}");
    }
}

#[tokio::test]
#[ignore = "run by the tests above, in a process of its own"]
async fn the_client() {
    let url = std::env::var("KEYWIRE_TEST_URL").expect("a URL");
    let builder = match Client::builder(&url) {
        Ok(builder) => builder,
        Err(error) => return println!("no builder: {error:?}: {error}"),
    };
    let (client, mut events) = builder.key("alice").connect();
    match events.next().await {
        Some(Event::Open) => println!("reply: {}", client.request(()).await.expect("a reply").msg),
        Some(Event::Failed(ClientError::Connection(error))) => println!("failed: {error}"),
        other => println!("{other:?}"),
    }
}
