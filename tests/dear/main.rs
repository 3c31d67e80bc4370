//! The dearest input of each kind that the defaults allow, and what another user notices of it.
//!
//! `make soak` runs this in release and prints the table of docs/reliability.md. One user, or one address, does its worst
//! on threads of its own, while another user's message comes back, again and again. The server has one thread, so nothing
//! runs beside what is dear.
#![cfg(all(feature = "deflate", feature = "jwt", feature = "warp"))]

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod victim;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use keywire::auth::{CredentialSource, JwtAlgorithm, JwtKey, RawKey, VerifyingKey};
use keywire::limits::Compression;
use keywire::{Config, Envelope, HandlerResult, Hub, KeyExtractor as _, Push, Session, Switch};

use attack::Attack;

/// What nobody else may notice more of.
const P99: Duration = Duration::from_millis(20);

/// How long each kind is measured.
const TIME: Duration = Duration::from_secs(3);

async fn echo(_: Session, envelope: Envelope) -> HandlerResult {
    Ok(Push::data(envelope.body).into())
}

/// A server with the defaults, with compression on, on a thread of its own.
fn serve() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let key = std::fs::read("tests/fixtures/p384.public.pem").expect("a fixture");
            let key = VerifyingKey::from_pem(JwtAlgorithm::ES384, &key).expect("a key");
            let keys =
                JwtKey::new(key).sources([CredentialSource::Query("token".into())]).or(RawKey::from_path());
            let config = Config { compression: Compression::deflate(), ..Config::default() };
            let handler = Switch::new().command(echo);
            let hub = Hub::builder(keys).handler(handler).config(config).build();
            let server = support::Server::start(hub).await;
            let _ = tell.send(server.addr);
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("a server")
}

#[test]
#[ignore = "measures: make soak"]
fn nobody_notices_the_dearest_input_of_any_kind() {
    println!("| input | p50 | p99 | most |\n|---|---|---|---|");
    let mut slow = Vec::new();
    for (name, attack) in attack::all() {
        let latencies = measure(attack);
        println!("| {name} | {:.1?} | {:.1?} | {:.1?} |", latencies.p50, latencies.p99, latencies.most);
        if latencies.p99 > P99 && name != attack::BEYOND {
            slow.push(name);
        }
    }
    assert!(slow.is_empty(), "another user's echo takes more than {P99:?} during: {slow:?}");
}

fn measure(attack: Attack) -> victim::Latencies {
    let addr = serve();
    let over = Arc::new(AtomicBool::new(false));
    let victim = victim::open(addr);
    let attackers: Vec<_> = attack(addr)
        .into_iter()
        .map(|mut attacker| {
            let over = over.clone();
            thread::spawn(move || while !over.load(Ordering::Relaxed) && attacker() {})
        })
        .collect();
    let latencies = victim.echo(TIME);
    over.store(true, Ordering::Relaxed);
    attackers.into_iter().for_each(|attacker| attacker.join().expect("an attacker"));
    latencies
}
