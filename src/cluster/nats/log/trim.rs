//! Removes what JetStream does not remove by itself: entries of a key beyond its bytes, and those that are too old.

use std::sync::Arc;

use super::super::NatsError;
use super::kept::{Head, Kept};
use super::store::{Line, Store};
use crate::log::clock::{is_older, now};

/// A key is looked at once in this many entries, and each time that it has got this part of its bytes.
const ENTRIES: u64 = 64;
const PART: u64 = 8;

/// Messages of one request.
const MESSAGES: usize = 64;
const BYTES: usize = 256 * 1024;

/// Looks at a key now and then, in a task of its own: the append is not held up.
pub(super) fn after_append(log: &Arc<Store>, line: Line, head: Head, bytes: usize) {
    let part = (log.retention.bytes as u64 / PART).max(1);
    let is_due = head.total / part != (head.total - bytes as u64) / part;
    if is_due || head.at.seq().is_multiple_of(ENTRIES) {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            if let Err(error) = log.trim(&line, &head).await {
                // It is tried again when the key has got more.
                tracing::debug!(error = &error as &dyn std::error::Error, "a log was not trimmed");
            }
        });
    }
}

impl Store {
    /// Removes the oldest entries of a key that ends with `head`, but never the last one.
    async fn trim(&self, line: &Line, head: &Head) -> Result<(), NatsError> {
        let (mut stream, mut before, now) = (0, None, now());
        'all: loop {
            let found = self.entries.from(&line.entries, stream, MESSAGES, BYTES).await?;
            for stored in &found {
                let kept = Kept::read(&line.topic, stored)?;
                let bytes = (head.total + kept.entry.push.len() as u64).saturating_sub(kept.head.total);
                let is_over = bytes > self.retention.bytes as u64;
                let is_old = is_older(kept.entry.time, self.retention.age, now);
                if stored.seq >= head.stream || !(is_over || is_old) {
                    break 'all;
                }
                before = Some(stored.seq + 1);
            }
            match found.last() {
                Some(last) => stream = last.seq + 1,
                None => break,
            }
        }
        match before {
            Some(_) => self.entries.purge(&line.entries, before).await,
            None => Ok(()),
        }
    }
}
