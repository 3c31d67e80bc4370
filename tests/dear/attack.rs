//! What one user or one address can send, with the defaults, that costs the server most.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::{Compress, FlushCompress};
use serde_json::json;

use crate::support::tokens::base64url;
use crate::support::{PING, TEXT, masked, opening};
use crate::victim::connect;

/// One attacker's thread: what it does until it is told to stop, again and again. It stops by itself by `false`.
pub(crate) type Attacker = Box<dyn FnMut() -> bool + Send>;

pub(crate) type Attack = Box<dyn Fn(SocketAddr) -> Vec<Attacker>>;

/// As many messages as may come at once, with some to spare.
const BURST: usize = 1_900;

pub(crate) fn all() -> Vec<(&'static str, Attack)> {
    vec![
        ("nothing", Box::new(|_| Vec::new())),
        ("forged tokens over 4 open sessions", sessions(1, 4, &[], forged_refresh())),
        ("compression on: messages that are inflated to 60 kB, 4 sessions", sessions(1, 4, DEFLATE, bomb())),
        (BEYOND, sessions(1, 256, DEFLATE, bomb())),
        ("messages that are malformed, 4 sessions", sessions(1, 4, &[], masked(TEXT, b"{}").repeat(BURST))),
        ("the same, 256 sessions", sessions(1, 256, &[], masked(TEXT, b"{}").repeat(BURST))),
        ("pings, 256 sessions", sessions(1, 256, &[], masked(PING, &[0; 125]).repeat(BURST))),
        ("the largest messages, 4 sessions", sessions(1, 4, &[], largest().repeat(100))),
        ("a message in fragments of nothing, 4 sessions", sessions(1, 4, &[], fragments(200_000))),
        ("openings with forged tokens", openings(1, forged_opening())),
        ("openings with the largest heads", openings(1, largest_head())),
    ]
}

/// Printed and not judged: compression is off by default, and 256 sessions of one user have more work at hand than fits
/// between two turns of anybody else.
pub(crate) const BEYOND: &str = "compression on: the same, 256 sessions";

const DEFLATE: &[(&str, &str)] = &[("sec-websocket-extensions", "permessage-deflate")];

/// One user's sessions, so many on each of so many threads: each sends its bytes, reads for a while what comes back, and
/// opens again.
fn sessions(
    threads: usize,
    each: usize,
    headers: &'static [(&'static str, &'static str)],
    bytes: Vec<u8>,
) -> Attack {
    Box::new(move |addr| {
        let attacker = |_| {
            let bytes = bytes.clone();
            let attacker: Attacker = Box::new(move || {
                let open = (0..each).filter_map(|_| connect(addr, "/websocket/mallory", headers).ok());
                let mut streams: Vec<TcpStream> = open.collect();
                for stream in &mut streams {
                    let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
                    let _ = stream.write_all(&bytes);
                }
                for stream in &mut streams {
                    drain(stream);
                }
                true
            });
            attacker
        };
        (0..threads).map(attacker).collect()
    })
}

fn openings(threads: usize, bytes: Vec<u8>) -> Attack {
    Box::new(move |addr| {
        let attacker = |_| {
            let bytes = bytes.clone();
            let attacker: Attacker = Box::new(move || {
                // Many at once, so that they are all there when the server looks.
                let mut streams: Vec<_> = (0..256).filter_map(|_| TcpStream::connect(addr).ok()).collect();
                for stream in &mut streams {
                    let _ = stream.write_all(&bytes);
                }
                for stream in &mut streams {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                    let _ = stream.read(&mut [0; 1024]);
                }
                true
            });
            attacker
        };
        (0..threads).map(attacker).collect()
    })
}

/// Reads what comes, until there is a pause.
fn drain(stream: &mut TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
}

fn forged_token() -> String {
    let header = base64url(json!({ "alg": "ES384", "typ": "JWT" }).to_string());
    let claims = base64url(json!({ "sub": "mallory", "exp": 9_999_999_999_u64 }).to_string());
    // A signature of the right length, with numbers in their range.
    format!("{header}.{claims}.{}", base64url([0x5a; 96]))
}

fn forged_refresh() -> Vec<u8> {
    let message = json!({ "flag": "kw:refresh", "body": forged_token() }).to_string();
    masked(TEXT, message.as_bytes()).repeat(BURST)
}

fn forged_opening() -> Vec<u8> {
    opening(&format!("/websocket?token={}", forged_token()), &[]).into_bytes()
}

fn largest_head() -> Vec<u8> {
    let cookie = "x=y; ".repeat(6_000);
    opening("/websocket/mallory?token=none", &[("cookie", &cookie)]).into_bytes()
}

fn largest() -> Vec<u8> {
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let body = vec![deep; 500].join(",");
    masked(TEXT, format!(r#"{{"flag":"command","body":[{body}]}}"#).as_bytes())
}

/// 113 bytes or so that are 60 kB when they are inflated, and as few again when they are sent back.
fn bomb() -> Vec<u8> {
    let message = json!({ "flag": "command", "body": "x".repeat(60_000) }).to_string();
    let mut out = Vec::with_capacity(message.len());
    let mut state = Compress::new(flate2::Compression::new(6), false);
    state.compress_vec(message.as_bytes(), &mut out, FlushCompress::Sync).expect("enough room");
    out.truncate(out.len() - 4);
    let mut frame = masked(TEXT, &out);
    frame[0] |= 0x40;
    frame.repeat(BURST)
}

fn fragments(count: usize) -> Vec<u8> {
    let mut first = masked(TEXT, b"");
    first[0] &= 0x7f;
    let mut more = masked(0, b"");
    more[0] &= 0x7f;
    [first, more.repeat(count)].concat()
}
