//! Notices a renewed certificate.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::error::TlsError;
use super::pair::{Certificate, Pair};
use super::slot::Slot;

/// Files that may be renewed.
#[derive(Debug)]
pub(super) struct Watched {
    chain: PathBuf,
    key: PathBuf,
    seen: Mutex<Seen>,
}

/// The last state of the files, so that each change is reported once.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Content([u8; 32]),
    Error(String),
}

/// Shortest interval.
const SHORTEST: Duration = Duration::from_millis(100);

impl Watched {
    pub(super) fn new(chain: PathBuf, key: PathBuf, digest: [u8; 32]) -> Self {
        Self { chain, key, seen: Mutex::new(Seen::Content(digest)) }
    }

    pub(super) fn files(&self) -> (&PathBuf, &PathBuf) {
        (&self.chain, &self.key)
    }

    /// Uses the files, whether or not they have changed.
    pub(super) fn reload(&self, slot: &Slot) -> Result<(), TlsError> {
        let mut seen = self.seen();
        let pair = Pair::read(&self.chain, &self.key)?;
        let digest = pair.digest();
        put(slot, pair.parse()?);
        *seen = Seen::Content(digest);
        Ok(())
    }

    /// Reads the files. `None` if they have not changed. The content decides: the time of a file says nothing about a symbolic link.
    fn check(&self) -> Option<Result<Certificate, TlsError>> {
        let mut seen = self.seen();
        let (now, certificate) = match Pair::read(&self.chain, &self.key) {
            Ok(pair) => (Seen::Content(pair.digest()), Ok(pair)),
            Err(error) => (Seen::Error(error.to_string()), Err(error)),
        };
        if *seen == now {
            return None;
        }
        *seen = now;
        Some(certificate.and_then(Pair::parse))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks the files again and again. Never ready.
pub(super) async fn watch(slot: Arc<Slot>, watched: Arc<Watched>, interval: Duration) {
    let mut expired = slot.expires().is_some_and(is_past);
    loop {
        sleep(interval.max(SHORTEST)).await;
        let files = watched.clone();
        match spawn_blocking(move || files.check()).await {
            Ok(Some(Ok(certificate))) => put(&slot, certificate),
            Ok(Some(Err(error))) => {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                tracing::warn!(%error, cause, "the TLS certificate was not replaced; the former stays in use");
            }
            // The runtime ends.
            Ok(None) | Err(_) => {}
        }
        let is_expired = slot.expires().is_some_and(is_past);
        if is_expired && !std::mem::replace(&mut expired, is_expired) {
            warn_if_expired(slot.expires());
        }
        expired = is_expired;
    }
}

/// Uses a certificate in new handshakes.
pub(super) fn put(slot: &Slot, certificate: Certificate) {
    let expires = certificate.expires;
    slot.set(certificate);
    tracing::info!(expires, "the TLS certificate was replaced");
    warn_if_expired(expires);
}

pub(super) fn warn_if_expired(expires: Option<u64>) {
    if expires.is_some_and(is_past) {
        tracing::warn!(expires, "the TLS certificate has expired; clients refuse it");
    }
}

fn is_past(seconds: u64) -> bool {
    SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs() > seconds)
}
