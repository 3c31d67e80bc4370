//! A refusal as whoever runs the server reads it: what was refused, what is allowed, which setting decides.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::excerpt::Excerpt;
use crate::rejection::Rejection;

/// What the client is told, and why, which only the log is told.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) rejection: Rejection,
    /// Never a credential. A part that the client wrote is an [`Excerpt`].
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

/// Writes refusals at `info`, but few of each kind, so that a flood of them does not fill a disk. The others are written
/// at `debug`.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<&'static str, Written>>);

/// What was written of one kind.
#[derive(Debug)]
struct Written {
    /// When all lines would have been written, one in each [`INTERVAL`].
    until: Instant,
    left_out: u64,
}

/// The lines of a kind that are written at once.
const BURST: u32 = 10;

/// Beyond the burst a line is written once in this time.
const INTERVAL: Duration = Duration::from_secs(6);

impl RefusalLog {
    /// `kind` is one of a few words.
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

    /// Whether a line may be written, and how many were left out before it.
    fn allow(&self, kind: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = kinds.entry(kind).or_insert(Written { until: now, left_out: 0 });
        let until = written.until.max(now) + INTERVAL;
        if until > now + INTERVAL * BURST {
            written.left_out += 1;
            return None;
        }
        written.until = until;
        Some(std::mem::take(&mut written.left_out))
    }
}

/// What a client wrote, if it is made of the characters of hosts and origins. Anything else may be a credential that was
/// put into the wrong place, and is not shown.
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
        tokio::time::advance(INTERVAL).await;
        assert_eq!(lines("forbidden"), [90]);
        tokio::time::advance(INTERVAL * 100).await;
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
