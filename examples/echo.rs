//! An echo server: text comes back as text, binary as binary.
//!
//! Use it to run a test suite for RFC 6455 and RFC 7692 against keywire:
//!
//! ```sh
//! cargo run --release --example echo --features deflate -- --listen 127.0.0.1:9001 --deflate
//! wstest --mode fuzzingclient --spec fuzzingclient.json    # of the Autobahn TestSuite
//! ```
//!
//! Every client may connect to `/websocket`. There are no envelopes: both hooks are for raw messages.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Parser;
use keywire::auth::{Origins, Rejection, extract_fn};
use keywire::handler::HandlerError;
use keywire::limits::{Compression, SessionPolicy};
use keywire::message::{Frame, Text};
use keywire::{Config, HandlerResult, Hub, Identity, Key, MessageHandler, Reply, Session, async_trait};
use tokio::net::TcpListener;

/// A WebSocket echo server.
#[derive(Parser)]
struct Options {
    /// Address to listen on. Port 0: a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,

    /// Compress messages of 1 KiB and more for clients that offer it.
    #[cfg(feature = "deflate")]
    #[arg(long)]
    deflate: bool,
}

/// Largest message.
const LIMIT: usize = 64 * 1024 * 1024;

struct Echo;

#[async_trait]
impl MessageHandler for Echo {
    async fn text(&self, _: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        Ok(ControlFlow::Break(Frame::text(&text).into()))
    }

    async fn binary(&self, _: &Session, bytes: Bytes) -> HandlerResult {
        Ok(Frame::binary(&bytes).into())
    }
}

/// Limits that a test suite does not reach.
pub(crate) fn config(compression: Compression) -> Config {
    Config {
        // All clients have the same key.
        policy: SessionPolicy::Many { cap: std::num::NonZeroUsize::MAX },
        message_bytes: LIMIT,
        queue_bytes: 2 * LIMIT,
        compression,
        ..Config::default()
    }
}

pub(crate) fn hub(config: Config) -> Hub {
    let anybody =
        extract_fn(|_| async { Ok(Identity::new(Key::new("anybody").map_err(|_| Rejection::Malformed)?)) });
    Hub::builder(anybody).handler(Echo).origins(Origins::any()).config(config).build()
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let listener = match TcpListener::bind(options.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {}: {error}; --listen takes another address", options.listen);
            return ExitCode::FAILURE;
        }
    };
    println!("keywire echo: ws://{}/websocket", listener.local_addr().unwrap_or(options.listen));

    #[cfg(feature = "deflate")]
    let compression = if options.deflate { Compression::deflate() } else { Compression::OFF };
    #[cfg(not(feature = "deflate"))]
    let compression = Compression::OFF;
    let routes = keywire::adapter::warp::websocket("websocket", hub(config(compression)));
    warp::serve(routes).incoming(listener).run().await;
    ExitCode::SUCCESS
}
