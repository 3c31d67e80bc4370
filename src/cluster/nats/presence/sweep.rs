use futures_util::stream::{self, StreamExt as _};

use super::super::NatsError;
use super::super::headers::HeadersOut;
use super::super::jetstream::{EXPECTED_LAST, Stored};
use super::nodes::{Lease, Nodes};
use super::record::Record;
use super::store::{Own, Pass, Store};
use crate::cluster::NodeId;
use crate::key::Key;
use crate::presence::Swept;

/// Records of one request and of one call at most.
const MESSAGES: usize = 512;
const BYTES: usize = 512 * 1024;
const IN_A_CALL: usize = 4096;

/// Keys that one call reports at most, about.
const LEFT: usize = 1000;

/// Changes in flight.
const AT_ONCE: usize = 64;

impl Store {
    /// Removes a part of what dead nodes have recorded. A node that was dead at the last renewal of `node` is dead now: if it comes
    /// back, it gets another lease.
    pub(super) async fn sweep(&self, node: NodeId) -> Result<Swept, NatsError> {
        let mut pass = self.pass.lock().await;
        let (seen, has_former) = match self.own().get(&node) {
            Some(Own { seen: Some(seen), has_former, .. }) => (seen.clone(), *has_former),
            _ => return Ok(Swept::default()),
        };
        let (nodes, now) = (&seen.0, seen.1);
        if pass.is_none() {
            let ended: Vec<_> = nodes.leases.iter().filter(|lease| lease.end < now).copied().collect();
            if ended.is_empty() && !has_former {
                return Ok(Swept::default());
            }
            if let Some(own) = self.own().get_mut(&node) {
                own.has_former = false;
            }
            *pass = Some(Pass { next: 1, ended });
        }
        let Some(Pass { next, ended }) = &mut *pass else { return Ok(Swept::default()) };
        let (mut left, mut count) = (Vec::new(), 0);
        while count < IN_A_CALL && left.len() < LEFT {
            let found = self.records.from(&self.all_keys(), *next, MESSAGES, BYTES).await?;
            let Some(last) = found.last() else {
                for Lease { node, last, .. } in ended.iter() {
                    self.remove_node(*node, *last).await?;
                }
                *pass = None;
                return Ok(Swept { left, more: false });
            };
            let last = last.seq;
            count += found.len();
            let mut removals = stream::iter(found)
                .map(|stored| self.remove_dead(stored, nodes, now))
                .buffer_unordered(AT_ONCE);
            let mut failed = None;
            while let Some(removed) = removals.next().await {
                match removed {
                    Ok(key) => left.extend(key),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                // What has left is reported all the same; the records are looked at again.
                return if left.is_empty() { Err(error) } else { Ok(Swept { left, more: true }) };
            }
            *next = last + 1;
        }
        Ok(Swept { left, more: true })
    }

    /// Removes the parts of dead nodes from a record. Returns its key if that was all.
    async fn remove_dead(&self, stored: Stored, nodes: &Nodes, now: u64) -> Result<Option<Key>, NatsError> {
        let Some(record) = Record::read(&stored.payload) else { return Ok(None) };
        if record.is_empty() {
            // The call that has emptied it did not come to its end.
            self.records.delete(stored.seq).await?;
            return Ok(None);
        }
        let rest = record.without(|part| nodes.is_dead(part, now));
        if rest == record {
            return Ok(None);
        }
        let headers = HeadersOut::new().with(EXPECTED_LAST, stored.seq);
        match self.records.put(&stored.subject, &headers, &[rest.to_text().as_bytes()]).await {
            Ok(ack) if rest.is_empty() => {
                let _ = self.records.delete(ack.seq).await;
                Ok(self.key_of(&stored.subject))
            }
            // After a change the pass finds the record again.
            Err(error) if error.is_wrong_last() => Ok(None),
            other => other.map(|_| None),
        }
    }
}
