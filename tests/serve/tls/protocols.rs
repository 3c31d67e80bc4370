//! What is agreed upon in a handshake.

use std::sync::Arc;

use keywire::serve::{ServeConfig, Tls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Served;
use crate::support::{Over, Raw, Wire, fixture, shake, tls_client};

async fn serve(tls: Tls) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let router = axum::Router::new().route("/hello", axum::routing::get(async || "hello"));
    tokio::spawn(keywire::serve(listener, router).tls(tls).run());
    addr
}

fn with_alpn(protocols: &[&str]) -> ClientConfig {
    let mut config = tls_client();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// The agreed protocol, or the error.
async fn alpn(addr: std::net::SocketAddr, protocols: &[&str]) -> Result<Option<Vec<u8>>, String> {
    let stream = TcpStream::connect(addr).await.expect("a listener");
    let stream = shake(with_alpn(protocols), stream).await.map_err(|error| error.to_string())?;
    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let mut raw = Raw::over(Wire::Tls(Box::new(stream)));
    assert_eq!(raw.get("/hello").await.body, "hello");
    Ok(agreed)
}

/// A configuration that promises more than `serve` can do.
fn with_h2() -> ServerConfig {
    let chain = CertificateDer::from_pem_file(fixture("tls-localhost.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(fixture("tls-localhost.private.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![chain], key);
    let mut config = config.expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.max_early_data_size = 1024;
    config
}

#[tokio::test]
async fn http_1_1_is_the_only_protocol() {
    for tls in [super::localhost(), Tls::rustls(Arc::new(with_h2()))] {
        let addr = serve(tls).await;
        let agreed = Some(b"http/1.1".to_vec());
        assert_eq!(alpn(addr, &["h2", "http/1.1"]).await, Ok(agreed.clone()));
        assert_eq!(alpn(addr, &["http/1.1"]).await, Ok(agreed));
        assert_eq!(alpn(addr, &[]).await, Ok(None));
        // The alert arrives, not a reset.
        let refused = alpn(addr, &["h2"]).await.expect_err("no common protocol");
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    }
}

#[tokio::test]
async fn both_versions_are_spoken_and_resumed_without_early_data() {
    let server = Served::start_over(Over::Tls, crate::By::Adapter, ServeConfig::default()).await;
    for version in [&TLS12, &TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(fixture("tls-authority.pem")).expect("a certificate");
        roots.add(authority).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
        let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.enable_early_data = true;
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = TcpStream::connect(server.addr).await.expect("a listener");
            let mut stream = shake(config.clone(), stream).await.expect("a handshake");
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.handshake_kind(), Some(kind));
            assert!(!session.is_early_data_accepted());
            // The tickets come before the answer.
            let request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await.expect("a connection");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an end in order");
            assert!(answer.ends_with("hello"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_session_has_the_address_of_its_client_and_large_messages() {
    let server = Served::start_over(Over::Tls, crate::By::Adapter, ServeConfig::default()).await;
    let stream = Over::Tls.connect(server.addr).await.expect("a connection");
    let address = stream.tcp().local_addr().expect("an address");
    let mut alice = crate::support::Client::over(stream, "/websocket/alice").await.expect("an upgrade");
    alice.ping().await;
    let session = server.hub.sessions("alice").await.pop().expect("a session");
    assert_eq!(session.peer(), Some(address));
    let large = "x".repeat(500_000);
    server.hub.send_to("alice", keywire::Push::message(large.clone())).await;
    assert_eq!(alice.next().await["msg"], large);
    for number in 0..100 {
        server.hub.send_to("alice", keywire::Push::message(number.to_string())).await;
    }
    for number in 0..100 {
        assert_eq!(alice.next().await["msg"], number.to_string());
    }
    alice.ping().await;
}
