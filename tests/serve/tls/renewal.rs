//! A certificate that changes while clients are there.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use keywire::serve::{Tls, TlsError};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;

use super::{bytes, certificate, seen};
use crate::support::{Client, Directory, Over, until};

/// A certificate in files, and a server with it.
struct Renewed {
    directory: Directory,
    tls: Tls,
    addr: std::net::SocketAddr,
}

impl Renewed {
    async fn start(test: &str, interval: Duration) -> Self {
        let directory = Directory::new(&format!("tls-{test}"));
        write(&directory, "localhost");
        let path = |name| directory.0.join(name);
        let tls = Tls::files(path("chain.pem"), path("key.pem")).expect("a pair").check_every(interval);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let hub = keywire::Hub::builder(keywire::auth::RawKey::from_path()).build();
        let routes = keywire::adapter::warp::websocket("websocket", hub);
        tokio::spawn(keywire::serve(listener, warp::service(routes)).tls(tls.clone()).run());
        Self { directory, tls, addr }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }

    async fn until(&self, certificate: CertificateDer<'static>) {
        until("the new certificate", async || match seen(self.addr).await == certificate {
            true => Ok(()),
            false => Err("the former".to_owned()),
        })
        .await;
    }
}

fn write(directory: &Directory, name: &str) {
    for (file, suffix) in [("chain.pem", "pem"), ("key.pem", "private.pem")] {
        fs::write(directory.0.join(file), bytes(&format!("tls-{name}.{suffix}"))).expect("a file");
    }
}

#[tokio::test]
async fn on_demand_while_sessions_live() {
    let server = Renewed::start("demand", Duration::MAX).await;
    let stream = Over::Tls.connect(server.addr).await.expect("a connection");
    let mut alice = Client::over(stream, "/websocket/alice").await.expect("an upgrade");
    assert_eq!(seen(server.addr).await, certificate("localhost"));
    for name in ["renewed", "rsa", "localhost"] {
        write(&server.directory, name);
        server.tls.reload().expect("a pair");
        assert_eq!(seen(server.addr).await, certificate(name));
        alice.ping().await;
    }
    let (chain, key) = (bytes("tls-rsa.pem"), bytes("tls-rsa.private.pem"));
    server.tls.replace(&chain, &key).expect("a pair");
    assert_eq!(seen(server.addr).await, certificate("rsa"));
    alice.ping().await;
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_is_refused_and_the_former_stays() {
    let server = Renewed::start("refused", Duration::MAX).await;
    let expires = server.tls.expires();
    let key = bytes("tls-renewed.private.pem");
    fs::write(server.path("chain.pem"), bytes("tls-renewed.pem")).expect("a file");
    assert!(matches!(server.tls.reload(), Err(TlsError::Mismatch { .. })));
    fs::write(server.path("key.pem"), &key[..key.len() / 2]).expect("a file");
    assert!(matches!(server.tls.reload(), Err(TlsError::Pem { .. })));
    fs::remove_file(server.path("key.pem")).expect("a file");
    assert!(matches!(server.tls.reload(), Err(TlsError::Read { .. })));
    assert!(matches!(server.tls.replace(b"", b""), Err(TlsError::NoCertificate { .. })));
    assert_eq!(seen(server.addr).await, certificate("localhost"));
    assert_eq!(server.tls.expires(), expires);
    fs::write(server.path("key.pem"), &key).expect("a file");
    server.tls.reload().expect("a pair");
    assert_eq!(seen(server.addr).await, certificate("renewed"));
}

#[tokio::test]
async fn settings_without_files_say_so() {
    let tls = Tls::pem(&bytes("tls-rsa.pem"), &bytes("tls-rsa.private.pem")).expect("a pair");
    assert!(matches!(tls.reload(), Err(TlsError::NoFiles)));
}

/// As certbot does it.
#[cfg(unix)]
#[tokio::test]
async fn a_change_of_links_is_noticed() {
    use std::os::unix::fs::symlink;

    let server = Renewed::start("links", Duration::ZERO).await;
    let [old, new] = ["localhost", "renewed"].map(|name| {
        let directory = Directory::new(&format!("tls-archive-{name}"));
        write(&directory, name);
        directory
    });
    for archive in [&old, &new] {
        for name in ["chain.pem", "key.pem"] {
            let link = server.path("link");
            symlink(archive.0.join(name), &link).expect("a link");
            fs::rename(link, server.path(name)).expect("a link");
        }
    }
    server.until(certificate("renewed")).await;
}
