//! What only TLS has.

mod handshakes;
mod pairs;
mod protocols;
mod renewal;
mod slow;

use std::fs;
use std::net::SocketAddr;

use keywire::serve::Tls;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

use crate::support::{fixture, shake, tls_client};

pub(crate) fn localhost() -> Tls {
    Tls::files(fixture("tls-localhost.pem"), fixture("tls-localhost.private.pem")).expect("a pair")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).expect("a fixture")
}

/// The certificate of a pair of fixtures.
fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(&format!("tls-{name}.pem"))).expect("a certificate")
}

/// The certificate that a new client sees.
async fn seen(addr: SocketAddr) -> CertificateDer<'static> {
    let stream = TcpStream::connect(addr).await.expect("a listener");
    let stream = shake(tls_client(), stream).await.expect("a handshake");
    let chain = stream.get_ref().1.peer_certificates().expect("a chain");
    chain[0].clone().into_owned()
}
