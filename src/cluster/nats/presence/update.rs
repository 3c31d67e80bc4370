use std::time::Duration;

use tokio::time::sleep;

use super::super::NatsError;
use super::super::headers::HeadersOut;
use super::super::jetstream::EXPECTED_LAST;
use super::record::{Part, Record};
use super::store::Store;
use crate::cluster::NodeId;
use crate::key::Key;
use crate::presence::Updated;

/// Other nodes may change the record of the same key at the same time.
const ATTEMPTS: u32 = 256;

impl Store {
    /// Sets the number of sessions that a node has of a key.
    pub(super) async fn set(&self, node: NodeId, key: &Key, sessions: usize) -> Result<Updated, NatsError> {
        let (subject, lease) = (self.subject_of(key), self.lease_of(node));
        let part = Part { node, lease, sessions };
        for attempt in 0..ATTEMPTS {
            let (last, record) = self.record(&subject).await?;
            let new = record.with(part);
            let updated = Updated { before: record.total(), after: new.total() };
            let known = record.of(node, lease);
            // A request of a call that was dropped may still be on its way. It fails if this call writes.
            if new == record && !self.is_doubtful(part, key) {
                self.count(part, key, known);
                if last > 0 && new.is_empty() {
                    // The call that has emptied it did not come to its end.
                    let _ = self.records.delete(last).await;
                }
                return Ok(updated);
            }
            // Whether the next request has its effect is unknown if this call is dropped.
            self.doubt(part, key, known);
            let headers = HeadersOut::new().with(EXPECTED_LAST, last);
            match self.records.put(&subject, &headers, &[new.to_text().as_bytes()]).await {
                Ok(ack) => {
                    self.count(part, key, known);
                    if new.is_empty() {
                        // It removes this message and no later one. If it fails, the next sweep does.
                        let _ = self.records.delete(ack.seq).await;
                    }
                    return Ok(updated);
                }
                Err(error) if error.is_wrong_last() => {
                    let random = u64::from(NodeId::random().bits() as u8);
                    sleep(Duration::from_micros(random * u64::from(attempt.min(64)))).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(NatsError::Protocol("the record of a key changes all the time"))
    }

    /// The record of a key, and its number in the stream.
    pub(super) async fn record(&self, subject: &str) -> Result<(u64, Record), NatsError> {
        let Some(stored) = self.records.last(subject).await? else { return Ok((0, Record::default())) };
        let record = Record::read(&stored.payload)
            .ok_or(NatsError::Protocol("a record of presence cannot be read"))?;
        Ok((stored.seq, record))
    }
}
