//! Signs tokens by what its jsonwebtoken has, and opens a WebSocket with each.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use keywire::Hub;
use keywire::auth::{JwtAlgorithm, JwtKey, VerifyingKey};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &[u8] = b"a secret that is long enough for each of HS256, HS384 and HS512: 64 bytes";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut algorithms = vec![JwtAlgorithm::HS256];
    if cfg!(any(feature = "aws_lc_rs", feature = "rust_crypto")) {
        algorithms.extend([JwtAlgorithm::HS384, JwtAlgorithm::HS512]);
        algorithms.extend(JwtAlgorithm::ASYMMETRIC);
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    let claims = json!({ "sub": "alice", "exp": (now + Duration::from_secs(3600)).as_secs() });
    for algorithm in algorithms {
        let token = signer::sign(algorithm, &claims);
        let addr = serve(verifying_key(algorithm)).await;
        assert_eq!(open(addr, &token).await, "HTTP/1.1 101 Switching Protocols", "{algorithm}");
        // A signature is 43 characters or more: the tenth from its end is not its first.
        let (head, tail) = token.split_at(token.len() - 10);
        let other = if tail.starts_with('A') { "B" } else { "A" };
        let forged = format!("{head}{other}{}", &tail[1..]);
        assert_eq!(open(addr, &forged).await, "HTTP/1.1 401 Unauthorized", "{algorithm}");
        println!("{algorithm}: let in");
    }
}

async fn serve(key: VerifyingKey) -> SocketAddr {
    let hub = Hub::builder(JwtKey::new(key)).build();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(warp::serve(keywire::adapter::warp::websocket("websocket", hub)).incoming(listener).run());
    addr
}

/// The status line of the answer to an opening.
async fn open(addr: SocketAddr, token: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.expect("a connection");
    let opening = format!(
        "GET /websocket/{token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    socket.write_all(opening.as_bytes()).await.expect("room for an opening");
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(socket.read_u8().await.expect("an answer"));
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

fn verifying_key(algorithm: JwtAlgorithm) -> VerifyingKey {
    if algorithm.is_hmac() {
        VerifyingKey::from_secret(algorithm, SECRET).expect("a secret")
    } else {
        let pem = fixture(&format!("{}.public.pem", name(algorithm)));
        VerifyingKey::from_pem(algorithm, pem).expect("a public key")
    }
}

/// The fixture that belongs to a public key algorithm.
fn name(algorithm: JwtAlgorithm) -> &'static str {
    match algorithm {
        JwtAlgorithm::ES256 => "p256",
        JwtAlgorithm::ES384 => "p384",
        JwtAlgorithm::EdDSA => "ed25519",
        _ => "rsa",
    }
}

fn fixture(name: &str) -> String {
    let path = format!("{}/../fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// By jsonwebtoken's only backend.
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod signer {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::{Algorithm, EncodingKey, Header};

    use super::{JwtAlgorithm, SECRET, Value, fixture, name};

    pub(crate) fn sign(algorithm: JwtAlgorithm, claims: &Value) -> String {
        let header = Header::new(algorithm.name().parse::<Algorithm>().expect("the same name"));
        jsonwebtoken::encode(&header, claims, &key(algorithm)).expect("a token")
    }

    fn key(algorithm: JwtAlgorithm) -> EncodingKey {
        if algorithm.is_hmac() {
            return EncodingKey::from_secret(SECRET);
        }
        let pem = fixture(&format!("{}.private.pem", name(algorithm)));
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).expect("base64");
        match algorithm {
            JwtAlgorithm::ES256 | JwtAlgorithm::ES384 => EncodingKey::from_ec_der(&der),
            JwtAlgorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_rsa_der(&der),
        }
    }
}

/// jsonwebtoken has nothing to sign with here, and says so by a panic. keywire must not mind.
#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
mod signer {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header};
    use ring::hmac::{self, HMAC_SHA256};

    use super::{JwtAlgorithm, SECRET, Value};

    pub(crate) fn sign(algorithm: JwtAlgorithm, claims: &Value) -> String {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let signed = std::panic::catch_unwind(|| {
            jsonwebtoken::encode(&Header::default(), &(), &EncodingKey::from_secret(SECRET))
        });
        std::panic::set_hook(hook);
        assert!(signed.is_err(), "a backend that this application did not ask for");

        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = hmac::sign(&hmac::Key::new(HMAC_SHA256, SECRET), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
