//! Keeps the connection: reads, writes, probes, and connects again without end.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::sleep;

use super::super::NodeId;
use super::NatsError;
use super::dial::{Link, Stream, dial_any};
use super::server::Server;
use super::state::Shared;
use super::wire::{ServerOp, decode};
use crate::cluster::tls::Tls;

/// A connection that has not answered a probe after this time is dead.
const PROBE: Duration = Duration::from_secs(10);

/// Pauses between attempts.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Bytes that are read at once at least.
const READ: usize = 16 * 1024;

/// Runs the connection, and each one after it, until the task is aborted.
pub(super) async fn keep(shared: Arc<Shared>, servers: Vec<Server>, tls: Tls, mut link: Link) {
    loop {
        let error = run(&shared, link).await;
        shared.down();
        tracing::warn!(error = &error as &dyn std::error::Error, "the connection to NATS is lost");
        link = again(&servers, &tls).await;
        shared.up(link.info.clone());
        tracing::info!("connected to NATS again");
    }
}

async fn again(servers: &[Server], tls: &Tls) -> Link {
    let mut pause = SHORTEST_PAUSE;
    let mut servers = servers.to_vec();
    loop {
        match dial_any(&servers, tls).await {
            Ok(link) => return link,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "NATS cannot be reached yet");
            }
        }
        // Many nodes must not come back at once, nor all to the first server.
        sleep(pause.mul_f64(0.5 + random())).await;
        servers.rotate_left(1);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A number from 0 to 1.
fn random() -> f64 {
    f64::from(NodeId::random().bits() as u32) / f64::from(u32::MAX)
}

async fn run(shared: &Shared, link: Link) -> NatsError {
    let (reader, writer) = tokio::io::split(link.stream);
    let ended = tokio::select! {
        ended = read(shared, reader, link.read) => ended,
        ended = write(shared, writer) => ended,
        ended = probe(shared) => ended,
    };
    ended.err().unwrap_or(NatsError::Lost)
}

async fn read(
    shared: &Shared,
    mut reader: ReadHalf<Box<dyn Stream>>,
    mut buffer: BytesMut,
) -> Result<(), NatsError> {
    loop {
        while let Some(op) = decode(&mut buffer)? {
            match op {
                ServerOp::Message(message) => shared.message(message),
                ServerOp::Ping => shared.ping(),
                ServerOp::Pong => shared.pong(),
                ServerOp::Err(text) => shared.refused(text),
                ServerOp::Info(info) => shared.state().link = Some(*info),
                ServerOp::Ok => {}
            }
        }
        buffer.reserve(READ);
        if reader.read_buf(&mut buffer).await.map_err(|_| NatsError::Lost)? == 0 {
            return Err(NatsError::Lost);
        }
    }
}

async fn write(shared: &Shared, mut writer: WriteHalf<Box<dyn Stream>>) -> Result<(), NatsError> {
    let mut bytes = BytesMut::new();
    loop {
        shared.state().swap_out(&mut bytes);
        if bytes.is_empty() {
            shared.filled.notified().await;
            continue;
        }
        let written = async { writer.write_all(&bytes).await.and(writer.flush().await) }.await;
        written.map_err(|_| NatsError::Lost)?;
    }
}

/// A connection may be dead without an end, so it is asked for an answer now and then.
async fn probe(shared: &Shared) -> Result<(), NatsError> {
    loop {
        let mut answer = shared.state().confirm();
        shared.filled.notify_one();
        sleep(PROBE).await;
        if answer.try_recv() == Err(TryRecvError::Empty) {
            return Err(NatsError::NoAnswer);
        }
    }
}
