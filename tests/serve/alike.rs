//! A server's own endpoint answers every request as the adapter for hyper does, whatever the client sends and in whatever pieces.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use hyper::service::service_fn;
use keywire::auth::{Rejection, extract_fn};
use keywire::limits::{Limits, SessionPolicy};
use keywire::serve::{RequestBody, ServeConfig};
use keywire::{Config, Hub, Identity, Key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::yield_now;

use crate::support::{CLOSE, Directory, TEXT, masked, opening, within};

/// When a server ends what the client leaves open. A test waits for that.
const SOON: Duration = Duration::from_secs(1);

/// Two servers of hubs alike.
struct Servers {
    /// The adapter, below hyper.
    hyper: PathBuf,
    own: PathBuf,
    _sockets: Directory,
    /// How often the extractor of each was asked.
    asked: [Arc<AtomicUsize>; 2],
}

fn hub(asked: &Arc<AtomicUsize>) -> Hub {
    let asked = asked.clone();
    let keys = extract_fn(move |handshake: keywire::adapter::Handshake| {
        asked.fetch_add(1, Ordering::Relaxed);
        async move {
            let key = handshake.path_key()?.ok_or(Rejection::Missing)?.into_owned();
            match &*key {
                "later" => yield_now().await,
                "never" => return Err(Rejection::Forbidden),
                "later-never" => {
                    yield_now().await;
                    return Err(Rejection::Forbidden);
                }
                "busy" => return Err(Rejection::Unavailable),
                _ => {}
            }
            let seen = handshake.header("x-seen")?.unwrap_or_default().to_owned();
            Ok(Identity::new(Key::new(format!("{key}{seen}"))?))
        }
    });
    let limits = Limits { handshakes_per_address: None, sessions_per_address: None, ..Limits::default() };
    let policy = SessionPolicy::Many { cap: NonZeroUsize::MAX };
    let config = Config { close_timeout: SOON, limits, policy, ..Config::default() };
    Hub::builder(keys).config(config).build()
}

impl Servers {
    /// `name` is that of a directory.
    fn start(name: &str) -> Self {
        Self::with_heads_of(8 * 1024, name)
    }

    fn with_heads_of(head_bytes: usize, name: &str) -> Self {
        let (head_timeout, idle_timeout) = (SOON, SOON);
        let config = ServeConfig { head_bytes, head_timeout, idle_timeout, ..ServeConfig::default() };
        let asked = [Arc::default(), Arc::default()];
        let [websocket, own] = [hub(&asked[0]), hub(&asked[1])];
        let by_adapter = service_fn(move |request: Request<RequestBody>| {
            let hub = websocket.clone();
            async move {
                let path = request.uri().path();
                let behind =
                    path.strip_prefix("/ws").map(|behind| behind.strip_suffix('/').unwrap_or(behind));
                Ok::<_, Infallible>(match behind.map(|behind| behind.strip_prefix('/').unwrap_or(behind)) {
                    Some(key) if !path.starts_with("/wsx") && !key.contains('/') => {
                        keywire::adapter::hyper::websocket("/ws", &hub, request).await
                    }
                    _ => Response::new(format!("page {path}")),
                })
            }
        });
        let pages = service_fn(|request: Request<RequestBody>| async move {
            Ok::<_, Infallible>(Response::new(format!("page {}", request.uri().path())))
        });
        let sockets = Directory::new(name);
        let (listener, hyper) = listen(&sockets, "hyper");
        tokio::spawn(keywire::serve::serve_hyper(listener, by_adapter).config(config.clone()).run());
        let (listener, path) = listen(&sockets, "own");
        let server = keywire::serve::serve_hyper(listener, pages).config(config).websocket("/ws", &own);
        tokio::spawn(server.run());
        Self { hyper, own: path, _sockets: sockets, asked }
    }

    /// Whether both servers answer these pieces alike. Returns the answer.
    async fn agree(&self, pieces: &[&[u8]]) -> String {
        let (hyper, own) = tokio::join!(talk(&self.hyper, pieces), talk(&self.own, pieces));
        assert_eq!(
            own,
            hyper,
            "to {:?}",
            pieces.iter().map(|it| it.escape_ascii().to_string()).collect::<Vec<_>>()
        );
        own
    }
}

/// In memory of the kernel, so that what was sent has arrived.
fn listen(sockets: &Directory, name: &str) -> (UnixListener, PathBuf) {
    let path = sockets.0.join(name);
    (UnixListener::bind(&path).expect("a socket"), path)
}

/// Sends pieces, which the server reads one by one, then the end. Returns all that the server says until it ends, without dates.
async fn talk(server: &Path, pieces: &[&[u8]]) -> String {
    let mut stream = UnixStream::connect(server).await.expect("a server");
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            // The clock moves once nothing else does: the server has read what was sent.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if stream.write_all(piece).await.is_err() {
            break;
        }
    }
    let mut said = Vec::new();
    let ended = within("the end", stream.read_to_end(&mut said)).await;
    let said = said.escape_ascii().to_string();
    let lines: Vec<_> = said.split(r"\r\n").filter(|line| !line.starts_with("date: ")).collect();
    format!("{} {:?}", lines.join("\n"), ended.map(drop).map_err(|error| error.kind()))
}

fn close() -> Vec<u8> {
    masked(CLOSE, &1000_u16.to_be_bytes())
}

/// A valid opening, with another line for one of its own, and further lines.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let good = opening("/ws/alice", &[]);
    assert!(good.contains(from), "{from}");
    good.replacen(from, to, 1).into_bytes()
}

const PAGE: &[u8] = b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn an_opening_in_any_two_pieces_with_frames_behind_it() {
    let servers = Servers::start("pieces");
    let mut all = opening("/ws/alice", &[("sec-websocket-protocol", "chat, keywire.v1")]).into_bytes();
    all.extend(masked(TEXT, br#"{"flag":"kw:ping"}"#));
    all.extend(close());
    let whole = servers.agree(&[&all]).await;
    for part in ["101 Switching Protocols", "sec-websocket-protocol: keywire.v1", "kw:pong"] {
        assert!(whole.contains(part), "{whole}");
    }
    let servers = &servers;
    let halves = stream::iter(1..all.len()).map(|at| {
        let all = &all;
        async move { servers.agree(&[&all[..at], &all[at..]]).await }
    });
    let mut answers = halves.buffer_unordered(64);
    while let Some(answer) = answers.next().await {
        assert_eq!(answer, whole);
    }
}

#[tokio::test(start_paused = true)]
async fn heads_that_never_end() {
    let servers = Servers::start("endless");
    let (opening, page) = (opening("/ws/alice", &[]), b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    let (opening, servers) = (opening.as_bytes(), &servers);
    let lengths = [0, 1, 3, 20, opening.len() - 2, opening.len() - 1];
    let all = stream::iter(lengths).map(|len| async move {
        servers.agree(&[&opening[..len]]).await;
        servers.agree(&[&opening[..len / 2], &opening[len / 2..len]]).await;
        servers.agree(&[page, &opening[..len]]).await;
    });
    all.buffer_unordered(lengths.len()).collect::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_of_heads() {
    let servers = Servers::with_heads_of(1024, "limit");
    for (length, status) in [(500, "101"), (1500, "431")] {
        let head = opening("/ws/alice", &[("x-long", &"y".repeat(length))]);
        let answer = servers.agree(&[&[head.as_bytes(), &close()].concat()]).await;
        assert!(answer.contains(status), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn good_and_nasty_heads() {
    let servers = Servers::start("nasty");
    let line = "Upgrade: websocket\r\n";
    let with = |more: &str| changed(line, &format!("{line}{more}"));
    let many = |count: usize| (0..count).map(|at| format!("X-{at}: y\r\n")).collect::<String>();
    let heads = [
        opening("/ws/alice", &[]).into_bytes(),
        opening("/ws/alice/", &[]).into_bytes(),
        opening("/ws", &[]).into_bytes(),
        opening("/ws/", &[]).into_bytes(),
        opening("/ws/a%2Fb?x=/ws/../y#z", &[]).into_bytes(),
        opening("/ws/%FF", &[]).into_bytes(),
        opening("/ws/later", &[]).into_bytes(),
        opening("/ws/later-never", &[]).into_bytes(),
        opening("/ws/later-never", &[("sec-websocket-protocol", "keywire.v1")]).into_bytes(),
        opening("/ws/never", &[]).into_bytes(),
        opening("/ws/never", &[("sec-websocket-protocol", "keywire.v1")]).into_bytes(),
        opening("/ws/busy", &[]).into_bytes(),
        // Others' paths.
        opening("/ws/a/b", &[]).into_bytes(),
        opening("/wsx/alice", &[]).into_bytes(),
        opening("//ws/alice", &[]).into_bytes(),
        opening("http://localhost/ws/alice", &[]).into_bytes(),
        opening("http://localhost", &[]).into_bytes(),
        opening("*", &[]).into_bytes(),
        opening("/ws/\u{e9}", &[]).into_bytes(),
        opening("/ws/a b", &[]).into_bytes(),
        opening("/ws/a\tb", &[]).into_bytes(),
        opening("", &[]).into_bytes(),
        // Methods and versions.
        changed("GET", "POST"),
        changed("GET", "HEAD"),
        changed("GET", "get"),
        changed("GET", "CONNECT"),
        changed("GET", "OPTIONS"),
        changed("GET ", "G(T "),
        changed("HTTP/1.1", "HTTP/1.0"),
        changed("HTTP/1.1", "HTTP/2.0"),
        changed("HTTP/1.1", "HTTP/1.2"),
        changed(" HTTP/1.1", ""),
        // Missing, doubled and strange lines.
        changed(line, ""),
        changed(line, "Upgrade: h2c\r\n"),
        changed(line, "uPGRADE:WebSocket \r\n"),
        changed(line, "Upgrade: h2c, websocket/13,websocket\r\n"),
        changed(line, "Upgrade: h2c\r\nUpgrade: websocket\r\n"),
        changed("Connection: Upgrade\r\n", ""),
        changed("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        changed("Connection: Upgrade", "Connection: close, Upgrade"),
        changed("Connection: Upgrade", "Connection: Upgrade\r\nConnection: close"),
        changed("Connection: Upgrade", "Connection: close"),
        changed("Host: localhost\r\n", ""),
        changed("Host: localhost", "Host: localhost\r\nHost: other"),
        changed("Host: localhost", "Host: "),
        changed("Version: 13", "Version: 8"),
        changed("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"),
        changed("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        changed("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="),
        with("Sec-WebSocket-Protocol: a, a\r\n"),
        with("Sec-WebSocket-Protocol: ,\r\n"),
        with("Sec-WebSocket-Protocol: keywire.v1\r\nSec-WebSocket-Protocol: b\r\n"),
        with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        with("Expect: 100-continue\r\n"),
        with("Expect: something\r\n"),
        with("Content-Length: 0\r\n"),
        with("Content-Length: 5\r\n"),
        with("Content-Length: x\r\n"),
        with("Content-Length: 0\r\nContent-Length: 1\r\n"),
        with("Transfer-Encoding: chunked\r\n"),
        with("Transfer-Encoding: gzip\r\n"),
        with("Origin: https://evil.example\r\n"),
        with("X-Seen: 1\r\n"),
        with("X-Seen: 1\r\nx-seen: 2\r\n"),
        with("X-Seen: a\r\n b\r\n"),
        with("X-Seen : a\r\n"),
        with(" X-Seen: a\r\n"),
        with("X-Seen: \u{e9}\r\n"),
        with("X-S\u{e9}en: a\r\n"),
        with("X-Seen: a\tb\r\n"),
        with("X-Seen: a\0b\r\n"),
        with("X-Seen: a\u{7f}b\r\n"),
        with("X-Seen: a\rb\r\n"),
        with("X-Seen: a\nX-Other: b\n"),
        with("X-Seen\r\n"),
        with(": a\r\n"),
        // Limits: 48 headers and 4096 bytes of one read, 100 headers and 8 KiB of all.
        with(&many(42)),
        with(&many(43)),
        with(&many(44)),
        with(&many(95)),
        with(&many(96)),
        with(&many(200)),
        with(&format!("X-Long: {}\r\n", "y".repeat(3_900))),
        with(&format!("X-Long: {}\r\n", "y".repeat(4_096))),
        with(&format!("X-Long: {}\r\n", "y".repeat(7_900))),
        with(&format!("X-Long: {}\r\n", "y".repeat(9_000))),
        with(&format!("X-Long: {}\r\n", "y".repeat(70_000))),
        // Not quite HTTP.
        [b"\r\n\r\n".as_slice(), opening("/ws/alice", &[]).as_bytes()].concat(),
        opening("/ws/alice", &[]).replace("\r\n", "\n").into_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        PAGE.to_vec(),
    ];
    let first = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n".as_slice();
    // What stands behind it is frames for a session, and nonsense for HTTP.
    let frames = [masked(TEXT, b"no envelope"), close()].concat();
    let (servers, frames) = (&servers, frames.as_slice());
    let all = stream::iter(&heads).map(|head| async move {
        servers.agree(&[&[head, frames].concat()]).await;
        // Behind a refusal the connection goes on, and ends with the page.
        servers.agree(&[&[head, PAGE].concat()]).await;
        // An opening may be a later request.
        servers.agree(&[&[first, head, frames].concat()]).await;
        // What hyper does behind a body that the service has not read depends on when the body arrives.
        let text = head.escape_ascii().to_string();
        if text.contains("Content-Length: 5") || text.contains("chunked") {
            return;
        }
        servers.agree(&[head, frames]).await;
        servers.agree(&[head, PAGE]).await;
        servers.agree(&[first, head, frames]).await;
    });
    all.buffer_unordered(64).collect::<()>().await;
    let [hyper, own] = servers.asked.each_ref().map(|asked| asked.load(Ordering::Relaxed));
    assert_eq!(own, hyper, "each opening is decided about once");
}
