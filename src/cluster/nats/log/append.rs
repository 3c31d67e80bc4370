use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::headers::HeadersOut;
use super::super::jetstream::{Ack, EXPECTED_LAST};
use super::super::{NatsError, subject};
use super::heads::Stripe;
use super::kept::{Head, Kept};
use super::store::{Line, Store, failed};
use crate::cluster::form;
use crate::key::Key;
use crate::log::clock::now;
use crate::log::{Appended, Draft, LogError};

/// Other nodes may append to the same key at the same time. Each attempt that fails is another's success.
const ATTEMPTS: u32 = 256;

/// Appends an entry, under the turn of its key.
pub(super) async fn append(log: &Arc<Store>, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
    let (bytes, limit) = (draft.push().len(), log.retention.bytes);
    if bytes > limit {
        return Err(LogError::TooLarge { bytes, limit });
    }
    let line = log.line(key);
    let mut turn = log.heads.turn(key).await;
    let (appended, head) = attempts(log, key, &line, draft, &mut turn).await?;
    drop(turn);
    if let Some(head) = head {
        super::trim::after_append(log, line, head, draft.push().len());
    }
    Ok(appended)
}

async fn attempts(
    log: &Store,
    key: &Key,
    line: &Line,
    draft: &Draft,
    turn: &mut Stripe,
) -> Result<(Appended, Option<Head>), LogError> {
    let epoch = log.client.epoch();
    let mut head = turn.take(key, epoch);
    let mut id = draft.once().map(|once| format!("{}/{}", subject::token(once), line.entries));
    for attempt in 0..ATTEMPTS {
        let known = match head.take() {
            Some(head) => head,
            None => log.last(line).await.map_err(failed)?.map(|last| last.head).unwrap_or_default(),
        };
        let next = known.next(draft.push());
        let time = now();
        let ack = match log.put(line, &known, &next, time, draft, id.as_deref()).await {
            Ok(ack) => ack,
            Err(error) if error.is_wrong_last() || error.is_being_stored() => {
                pause(attempt).await;
                continue;
            }
            Err(NatsError::TooLarge { bytes, limit }) => {
                turn.put(key, epoch, known);
                return Err(LogError::TooLarge { bytes, limit });
            }
            Err(error) if error.is_without_effect() => return Err(failed(error)),
            Err(error) => return Err(LogError::Unknown(error.into())),
        };
        if ack.duplicate {
            match log.repeated(line, ack).await.map_err(failed)? {
                Some(appended) => return Ok((appended, None)),
                // The entry was forgotten, and JetStream has not forgotten its id.
                None => {
                    id = draft
                        .once()
                        .map(|once| format!("{}/{}/{}", subject::token(once), line.entries, ack.seq))
                }
            }
            continue;
        }
        let next = next.stored(ack.seq);
        turn.put(key, epoch, next.clone());
        let mut appended = Appended::new(next.at, known.at, time);
        appended.announced = true;
        return Ok((appended, Some(next)));
    }
    Err(LogError::Failed("other nodes append to this key all the time".into()))
}

impl Store {
    async fn put(
        &self,
        line: &Line,
        known: &Head,
        next: &Head,
        time: u64,
        draft: &Draft,
        id: Option<&str>,
    ) -> Result<Ack, NatsError> {
        let mut headers = next.header(HeadersOut::new().with(EXPECTED_LAST, known.stream));
        if let Some(id) = id {
            headers = headers.with("Nats-Msg-Id", id);
        }
        let announcement = form::announcement(self.node);
        let positions = format!("{} {} {time} ", next.at, known.at);
        let payload = [&announcement[..], positions.as_bytes(), draft.push().as_bytes()];
        self.entries.put(&line.entries, &headers, &payload).await
    }

    /// The entry that was added with the same id. `None` if it was forgotten.
    async fn repeated(&self, line: &Line, ack: Ack) -> Result<Option<Appended>, NatsError> {
        let Some(stored) = self.entries.get(ack.seq).await? else { return Ok(None) };
        // The id names the key, so it is the key's entry.
        Ok(Some(Appended::again(Kept::read(&line.topic, &stored)?.head.at)))
    }
}

/// Lets other nodes finish, longer with each attempt.
async fn pause(attempt: u32) {
    if attempt > 0 {
        let random = u64::from(crate::cluster::NodeId::random().bits() as u8);
        sleep(Duration::from_micros(random * u64::from(attempt.min(64)))).await;
    }
}
