//! What TLS costs a server: memory of an idle session, CPU time of an opening and of a push. Beside it stand the same over plain
//! TCP, and rustls alone.

use std::error::Error;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use clap::{Parser, Subcommand};
use keywire::auth::RawKey;
use keywire::handler::HandlerError;
use keywire::message::{Frame, Text};
use keywire::serve::Tls;
use keywire::{Config, Hub, MessageHandler, Push, Reply, Session, async_trait};
use keywire_bench::load::{Cpu, memory_kb};
use keywire_bench::measured::Server;
use keywire_bench::page::{Page, dial};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

/// What TLS costs a server.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: Option<What>,

    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Idle sessions.
    #[arg(long, default_value_t = 4_000)]
    sessions: usize,

    /// Pushes of a measurement.
    #[arg(long, default_value_t = 200_000)]
    pushes: usize,
}

#[derive(Subcommand)]
enum What {
    /// The server that is measured.
    Serve { kind: String },
    /// rustls alone: so many idle sessions, and so many pushes.
    Alone { sessions: usize, pushes: usize },
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CHAIN: &[u8] = include_bytes!("../../../tests/fixtures/tls-renewed.pem");
const KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls-renewed.private.pem");

/// Bytes of the text of a push.
const SIZE: usize = 160;

/// Keys that get the pushes.
const KEYS: usize = 100;

fn main() -> ExitCode {
    let options = Options::parse();
    let threads = if options.what.is_some() { 1 } else { 2 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.expect("a runtime cannot be had only where there are no threads and no epoll");
    let done = runtime.block_on(async {
        match &options.what {
            Some(What::Serve { kind }) => serve(kind).await,
            Some(What::Alone { sessions, pushes }) => alone(*sessions, *pushes),
            None => measure(&options).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tls: {error}");
            ExitCode::FAILURE
        }
    }
}

// The server

async fn serve(kind: &str) -> Result<()> {
    let config = Config {
        queue_messages: 65_536,
        queue_bytes: 64 * 1024 * 1024,
        message_rate: None,
        ..Config::default()
    };
    let hub = Hub::builder(RawKey::from_path()).handler(Sender).config(config).build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let routes = keywire::adapter::warp::websocket("websocket", hub);
    let server = keywire::serve(listener, warp::service(routes));
    let server = if kind == "tls" { server.tls(Tls::pem(CHAIN, KEY)?) } else { server };
    // On a worker, as everything else, and not on the thread that waits here.
    tokio::spawn(server.run()).await?;
    Ok(())
}

/// Obeys `<count> <burst>`: so many pushes to the keys in turn, of which so many may leave in one write. Then says `done`.
struct Sender;

#[async_trait]
impl MessageHandler for Sender {
    async fn text(
        &self,
        session: &Session,
        text: Text,
    ) -> std::result::Result<ControlFlow<Reply, Text>, HandlerError> {
        let Some((count, burst)) = text.split_once(' ') else { return Ok(ControlFlow::Continue(text)) };
        let (count, burst): (usize, usize) = (count.parse()?, burst.parse()?);
        let msg = "x".repeat(SIZE);
        for number in 0..count {
            let key = format!("user{}", number / burst % KEYS);
            session.hub().send_to(key, Push::message(msg.clone())).await;
            if (number + 1) % burst == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(ControlFlow::Break(Frame::text("done").into()))
    }
}

// rustls alone

/// Prints the bytes of an idle session and the seconds of an opening and of a push, as a line.
fn alone(sessions: usize, pushes: usize) -> Result<()> {
    let client = Arc::new(client()?);
    let key = PrivateKeyDer::from_pem_slice(KEY)?;
    let chain = CertificateDer::pem_slice_iter(CHAIN).collect::<std::result::Result<_, _>>()?;
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let server = server.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut server = server.with_single_cert(chain, key)?;
    server.ticketer = ring::Ticketer::new()?;
    let server = Arc::new(server);
    let pid = std::process::id();
    // The first of everything is not counted.
    let mut idle = vec![shaken(&client, &server)?];
    let (memory, mut pipe) = (memory_kb(pid)?, Vec::new());
    for _ in 0..sessions {
        idle.push(shaken(&client, &server)?);
    }
    let bytes = (memory_kb(pid)? - memory) as f64 * 1024.0 / sessions as f64;
    let (text, before) = (vec![b'x'; SIZE + 28], Cpu::of(pid)?);
    for number in 0..pushes {
        let session = &mut idle[number % KEYS];
        std::io::Write::write_all(&mut session.writer(), &text)?;
        pipe.clear();
        session.write_tls(&mut pipe)?;
        black_box(&pipe);
    }
    let push = (Cpu::of(pid)? - before).total() / pushes as f64;
    println!("{bytes} {push}");
    Ok(())
}

/// A session that has shaken hands, has been read from, and has sent its tickets.
fn shaken(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<ServerConnection> {
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from("localhost")?)?;
    let mut server = ServerConnection::new(server.clone())?;
    let mut pipe = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        pipe.clear();
        client.write_tls(&mut pipe)?;
        while !pipe.is_empty() {
            let read = server.read_tls(&mut pipe.as_slice())?;
            pipe.drain(..read);
            server.process_new_packets()?;
        }
        server.write_tls(&mut pipe)?;
        while !pipe.is_empty() {
            let read = client.read_tls(&mut pipe.as_slice())?;
            pipe.drain(..read);
            client.process_new_packets()?;
        }
    }
    // As a socket that has nothing more.
    server.read_tls(&mut std::io::empty())?;
    Ok(server)
}

/// A client without resumption.
fn client() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CHAIN)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

// The measurements

async fn measure(options: &Options) -> Result<()> {
    println!("| server | plain | TLS | rustls alone | TLS − plain |\n|---|---|---|---|---|");
    let [mut plain, mut tls, mut alone] = [const { Vec::new() }; 3];
    for _ in 0..options.rounds {
        plain.push(costs(&Server::start(&["serve", "plain"])?, None, options).await?);
        tls.push(costs(&Server::start(&["serve", "tls"])?, Some(client()?), options).await?);
        alone.push(measure_alone(options)?);
    }
    let median_of = |rounds: &[Costs], cost: Cost| {
        let mut values: Vec<_> = rounds.iter().map(cost).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let costs: [(&str, &str, Cost); 4] = [
        ("memory of an idle session", "bytes", |costs| costs.bytes),
        ("CPU time of an opening, full handshake", "µs", |costs| costs.opening * 1e6),
        ("CPU time of a push, alone", "µs", |costs| costs.push * 1e6),
        ("CPU time of a push, 16 in one write", "µs", |costs| costs.burst * 1e6),
    ];
    for (what, unit, cost) in costs {
        let [plain, tls, alone] = [&plain, &tls, &alone].map(|rounds| median_of(rounds, cost));
        let number = |value: f64| match unit {
            _ if value.is_nan() => String::new(),
            "bytes" => format!("{value:.0} {unit}"),
            _ => format!("{value:.1} {unit}"),
        };
        let [plain, tls, alone, more] = [plain, tls, alone, tls - plain].map(number);
        println!("| {what} | {plain} | {tls} | {alone} | {more} |");
    }
    Ok(())
}

/// Costs of one server. NaN: not measured.
struct Costs {
    bytes: f64,
    opening: f64,
    push: f64,
    burst: f64,
}

type Cost = fn(&Costs) -> f64;

fn measure_alone(options: &Options) -> Result<Costs> {
    let arguments = ["alone".to_owned(), options.sessions.to_string(), options.pushes.to_string()];
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    let output = String::from_utf8(output.stdout)?;
    let (bytes, push) = output.trim().split_once(' ').ok_or("rustls alone has failed")?;
    Ok(Costs { bytes: bytes.parse()?, opening: f64::NAN, push: push.parse()?, burst: f64::NAN })
}

async fn costs(server: &Server, tls: Option<ClientConfig>, options: &Options) -> Result<Costs> {
    let connector = tls.map(|config| TlsConnector::from(Arc::new(config)));
    let open = |key: String| open(server, key, connector.as_ref());
    let mut sender = open("sender".to_owned()).await?;
    // The first of everything is not counted.
    for number in 0..100 {
        drop(open(format!("first{number}")).await?);
    }
    let (memory, cpu) = (server.memory_kb()?, server.cpu()?);
    let mut pages = Vec::new();
    for number in 0..options.sessions {
        pages.push(open(format!("user{number}")).await?);
    }
    let count = options.sessions as f64;
    let opening = (server.cpu()? - cpu) / count;
    let bytes = server.memory_kb()?.saturating_sub(memory) as f64 * 1024.0 / count;
    let (readers, idle) = pages.split_at_mut(KEYS.min(options.sessions));
    let push = pushes(server, &mut sender, readers, options.pushes, 1).await?;
    let burst = pushes(server, &mut sender, readers, options.pushes * 8, 16).await?;
    black_box(idle);
    Ok(Costs { bytes, opening, push, burst })
}

/// CPU time of a push, in seconds.
async fn pushes(
    server: &Server,
    sender: &mut Page,
    readers: &mut [Page],
    count: usize,
    burst: usize,
) -> Result<f64> {
    // The same number for each key.
    let each = (count / burst / KEYS).max(1) * burst;
    let count = each * KEYS;
    let before = server.cpu()?;
    sender.send(&format!("{count} {burst}")).await?;
    futures_util::future::try_join_all(readers.iter_mut().map(|page| page.receive(each))).await?;
    sender.receive(1).await?;
    Ok((server.cpu()? - before) / count as f64)
}

async fn open(server: &Server, key: String, tls: Option<&TlsConnector>) -> Result<Page> {
    let stream = dial(server.address()).await?;
    match tls {
        None => Page::open(stream, &key, "").await,
        Some(tls) => {
            Page::open(tls.connect(ServerName::try_from("localhost")?, stream).await?, &key, "").await
        }
    }
}
