//! Refusals in the server's log, with the reason, the allowed values and the setting that decides.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::excerpt::Excerpt;
use crate::limits::{Rate, RateLimiter};
use crate::rejection::Rejection;

/// A rejection, which the client gets, and its reason, which only the log gets.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) rejection: Rejection,
    /// The reason. It contains no credential. A part that comes from the client is an [`Excerpt`].
    why: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(rejection: Rejection, why: impl Into<Cow<'static, str>>) -> Self {
        Self { rejection, why: why.into() }
    }

    pub(crate) fn log(&self, log: &RefusalLog, peer: Option<SocketAddr>) {
        log.write(self.rejection.kind(), &self.why, peer);
    }
}

/// Writes refusals at `info`, rate-limited by kind, so that a flood does not fill a disk. It writes the rest at `debug`.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<&'static str, Written>>);

/// State of the lines of one kind.
#[derive(Debug)]
struct Written {
    /// The time at which the debt at [`RATE`] is paid off.
    paid_off: Instant,
    left_out: u64,
}

/// Rate limit for the lines of each kind.
const RATE: Rate = Rate::new(10, Duration::from_secs(60));

impl RefusalLog {
    /// Writes one line. `kind` is one of a few constants, so the table stays small.
    pub(crate) fn write(&self, kind: &'static str, why: &str, peer: Option<SocketAddr>) {
        let peer = peer.map(tracing::field::display);
        match self.allow(kind) {
            Some(left_out) => {
                let left_out = (left_out > 0).then_some(left_out);
                tracing::info!(peer, kind, left_out, "refused: {why}");
            }
            None => tracing::debug!(peer, kind, "refused: {why}"),
        }
    }

    /// `Some` if a line may be written, with the number of lines that were left out before it.
    fn allow(&self, kind: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = kinds.entry(kind).or_insert(Written { paid_off: now, left_out: 0 });
        let debt = written.paid_off.saturating_duration_since(now);
        match RateLimiter::in_nanos(RATE).allow(debt.as_nanos() as u64) {
            Some(debt) => {
                written.paid_off = now + Duration::from_nanos(debt);
                Some(std::mem::take(&mut written.left_out))
            }
            None => {
                written.left_out += 1;
                None
            }
        }
    }
}

/// Formats a string from a client for the log, if it contains only characters of hosts and origins. Any other string may be a
/// misplaced credential and is not shown.
pub(crate) fn shown(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte);
    if text.bytes().all(plain) {
        format!("\"{}\"", Excerpt(text))
    } else {
        format!("({} bytes that are neither a host nor an origin)", text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_lines_at_once_then_few_and_those_left_out_are_counted() {
        let log = RefusalLog::default();
        let lines = |kind| (0..100).filter_map(|_| log.allow(kind)).collect::<Vec<_>>();
        assert_eq!(lines("forbidden"), [0; 10]);
        assert_eq!(lines("no_opening"), [0; 10], "one kind does not silence another");
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(lines("forbidden"), [90]);
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(lines("forbidden"), [99, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_may_be_a_credential_is_not_shown() {
        for text in ["null", "https://app.example:8443", "[::1]:8090", "chrome-extension://abcdef"] {
            assert_eq!(shown(text), format!("\"{text}\""));
        }
        for text in
            ["Bearer secret", "https://user:secret@host", "http://host/?token=secret", "sécret", "a\nb"]
        {
            assert!(!shown(text).contains("cret") && !shown(text).contains('\n'), "{text}");
        }
    }
}
