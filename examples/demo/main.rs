//! A page and a backend that talk in real time.
//!
//! Run with `cargo run --example demo`, open <http://127.0.0.1:8090/> in two tabs, and push to them:
//! `curl --json '{"msg":"hello"}' http://127.0.0.1:8090/broadcast`.
//!
//! - `--jwt-secret SECRET`: a client needs a token, and `POST /login` issues tokens. A request that pushes needs a token in
//!   `Authorization: Bearer`.
//! - `--jwt-key`, `--jwt-jwks`: a client needs a token of another issuer.
//! - `--log FILE`: pushes with `"keep": true` wait for users who are offline.
//! - `--redis URL`, `--nats URL`, with `--features redis` or `nats`: one of several nodes. `make cluster` starts two.
//! - `--tls-cert FILE --tls-key FILE`, with `--features tls`: HTTPS.
//! - `--api-secret`, with `--features push-api`: the push API below `/api`, for services with the secret.
//! - `--metrics`, with `--features metrics`: metrics for Prometheus.

#[cfg(feature = "push-api")]
mod api;
mod cluster;
mod log;
mod login;
mod mine;
mod node;
#[cfg(feature = "metrics")]
mod numbers;
mod post;
mod relay;
mod routes;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod watch;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use keywire::auth::{Origins, RawKey};
use keywire::log::Log;
use keywire::message::Code;
use keywire::serve::ServeConfig;
use keywire::session::Closed;
use keywire::{Config, Envelope, Hub, Reply, Session, Switch};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{ClusterOptions, Engine};
use crate::log::LogOptions;
use crate::login::Login;
use crate::node::Node;
use crate::tokens::{TokenOptions, Tokens};
use crate::watch::Watchers;

/// A page and a backend that talk in real time through keywire.
#[derive(Parser)]
struct Options {
    /// Address to listen on. Port 0: a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,

    /// Allow pages of this origin, instead of the demo's own and those of this machine. May be repeated. Needed behind a
    /// proxy with another name.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// Secret of the push API below `/api`, 16 bytes or more. May be repeated, to replace a secret. Default: no API.
    #[cfg(feature = "push-api")]
    #[arg(long, value_name = "SECRET")]
    api_secret: Vec<String>,

    /// Compress messages of 1 KiB and more for clients that offer it, as browsers do.
    #[cfg(feature = "deflate")]
    #[arg(long)]
    deflate: bool,

    /// Show metrics for Prometheus at `/metrics`, to every client.
    #[cfg(feature = "metrics")]
    #[arg(long)]
    metrics: bool,

    #[command(flatten)]
    log: LogOptions,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: tls::TlsOptions,

    #[command(flatten)]
    tokens: TokenOptions,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();

    let tokens = match std::mem::take(&mut options.tokens).read().await {
        Ok(tokens) => tokens,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let log = match options.log.open().await {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let engine = match options.cluster.join().await {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let listener = match TcpListener::bind(options.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {}: {error}; --listen takes another address", options.listen);
            return ExitCode::FAILURE;
        }
    };
    let address = listener.local_addr().unwrap_or(options.listen);

    let (key, login) = match tokens {
        Some(Tokens { key, issuer }) => {
            (Some(Arc::new(key)), issuer.map_or(Login::Elsewhere, |issuer| Login::Here(Box::new(issuer))))
        }
        None => (None, Login::No),
    };
    #[cfg(feature = "metrics")]
    let numbers = match options.metrics.then(numbers::collect).transpose() {
        Ok(numbers) => numbers,
        Err(error) => {
            eprintln!("cannot collect metrics: {error}");
            return ExitCode::FAILURE;
        }
    };
    let node = engine.as_ref().map(|engine| {
        let ClusterOptions { peer, name, killable, .. } = std::mem::take(&mut options.cluster);
        let name = name.unwrap_or_else(|| address.to_string());
        Arc::new(Node::new(name, engine.name, peer, killable))
    });
    let watchers = Arc::new(Watchers::new(node.clone()));
    // An engine has a log too.
    let keeps = log.is_some() || engine.is_some();
    let demo = Demo { miners: Arc::default(), watchers: watchers.clone(), node: node.clone() };
    let hub = hub(&options, key.clone(), log, engine, demo);
    if let Some(node) = &node {
        node.clone().start(hub.clone(), watchers);
    }
    let routes = routes::all(hub.clone(), login, key, keeps, node);
    #[cfg(feature = "push-api")]
    let routes = match api::route(&hub, &options.api_secret) {
        Ok(api) => warp::Filter::or(api, routes),
        Err(error) => {
            eprintln!("--api-secret: {error}");
            return ExitCode::FAILURE;
        }
    };
    #[cfg(feature = "metrics")]
    let routes = warp::Filter::or(numbers::route(numbers), routes);
    #[cfg(feature = "tls")]
    let tls = match options.tls.read() {
        Ok(tls) => tls,
        Err(error) => {
            eprintln!("--tls-cert, --tls-key: {error}");
            return ExitCode::FAILURE;
        }
    };
    #[cfg(feature = "tls")]
    let scheme = if tls.is_some() { "https" } else { "http" };
    #[cfg(not(feature = "tls"))]
    let scheme = "http";
    println!("keywire demo: {scheme}://{address}/");
    // One second less than the five that a service manager waits for.
    let config = ServeConfig { grace: Duration::from_secs(4), ..ServeConfig::default() };
    let server = keywire::serve(listener, warp::service(routes)).config(config).graceful(&hub, stop_signal());
    #[cfg(feature = "tls")]
    let server = match tls {
        Some(tls) => server.tls(tls),
        None => server,
    };
    let cut = server.run().await;
    if cut > 0 {
        eprintln!("{cut} connections were cut");
    }
    ExitCode::SUCCESS
}

/// The shared state of the handlers.
struct Demo {
    miners: Arc<mine::Miners>,
    watchers: Arc<Watchers>,
    /// `None`: there is no cluster.
    node: Option<Arc<Node>>,
}

fn hub(
    options: &Options,
    tokens: post::Tokens,
    log: Option<Arc<dyn Log>>,
    engine: Option<Engine>,
    demo: Demo,
) -> Hub {
    let switch = Switch::with(demo)
        .inform(relay::inform)
        .command(|demo: Arc<Demo>, session: Session, envelope: Envelope| {
            demo.miners.clone().command(session, envelope)
        })
        .on("watch", |demo: Arc<Demo>, session: Session, envelope: Envelope| {
            demo.watchers.clone().watch(session, envelope)
        })
        .on("kill", |demo: Arc<Demo>, _: Session, _: Envelope| async move {
            match &demo.node {
                Some(node) => node.kill(),
                None => Ok(Reply::error(Code::FORBIDDEN, "there is no cluster")),
            }
        })
        .opened(|demo: Arc<Demo>, session: Session| async move {
            demo.node.iter().for_each(|node| node.opened(&session));
            demo.watchers.changed(session.hub());
            Ok(())
        })
        .closed(|demo: Arc<Demo>, session: Session, _: Closed| async move {
            demo.node.iter().for_each(|node| node.closed(&session));
            demo.watchers.changed(session.hub());
            demo.miners.clone().left(session).await;
        });

    let origins = match &*options.allow_origin {
        [] => Origins::same().hosts(hosts(options.listen)).and_loopback(),
        listed => listed.iter().fold(Origins::listed(), |origins, origin| origins.and(&**origin)),
    };
    #[cfg_attr(not(feature = "deflate"), expect(unused_mut))]
    let mut config = Config::default();
    #[cfg(feature = "deflate")]
    if options.deflate {
        config.compression = keywire::limits::Compression::deflate();
    }
    let mut hub = match tokens {
        Some(tokens) => Hub::builder(tokens),
        None => Hub::builder(RawKey::from_path()),
    };
    if let Some(engine) = engine {
        hub = hub.cluster(engine.cluster).presence_timing(cluster::timing());
    }
    if let Some(log) = log {
        hub = hub.log(log);
    }
    hub.handler(switch).origins(origins).config(config).build()
}

/// The host names that the demo answers to, against DNS rebinding. Empty (every name) if it listens on all addresses, since it
/// cannot know its names then.
fn hosts(listen: SocketAddr) -> Vec<String> {
    if listen.ip().is_unspecified() {
        return Vec::new();
    }
    let own = if listen.is_ipv6() { format!("[{}]", listen.ip()) } else { listen.ip().to_string() };
    vec!["localhost".into(), own]
}

async fn stop_signal() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return tokio::signal::ctrl_c().await.unwrap_or_default();
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
