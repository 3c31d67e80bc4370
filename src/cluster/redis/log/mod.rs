//! The log on Redis.

mod scripts;

use async_trait::async_trait;
use bytes::Bytes;

pub(super) use self::scripts::Scripts;
use super::Redis;
use super::error::CallError;
use super::names::Partition;
use super::resp::Value;
use crate::cluster::Topic;
use crate::delivery::{Entry, Position};
use crate::key::Key;
use crate::log::{Appended, Draft, GapKind, Limit, Log, LogError, Page, ReadFrom};
use crate::text::Text;

/// The names of what is kept for a key.
struct KeyNames {
    partition: Partition,
    list: String,
    ids: String,
    seen: String,
}

impl Redis {
    fn log_names(&self, key: &Key) -> KeyNames {
        let partition = Partition::of(key.as_str());
        let name = |kind| self.shared.names.of(partition, kind, key.as_str());
        KeyNames { partition, list: name('l'), ids: name('o'), seen: name('s') }
    }

    async fn read_log(&self, key: &Key, from: &str, after: Position, limit: Limit) -> Result<Page, LogError> {
        let names = self.log_names(key);
        let (after, entries, bytes) = (after.to_string(), limit.entries.to_string(), limit.bytes.to_string());
        let keys = [names.list.as_bytes(), names.seen.as_bytes()];
        let keys = if from == "unread" { &keys[..] } else { &keys[..1] };
        let arguments = [from.as_bytes(), after.as_bytes(), entries.as_bytes(), bytes.as_bytes()];
        let read = &self.shared.log.read;
        let answer = self.shared.commands.run(read, names.partition, keys, &arguments).await?;
        page(answer).ok_or(LogError::Failed(CallError::Unexpected.into()))
    }
}

#[async_trait]
impl Log for Redis {
    async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
        let (push, limit) = (draft.push(), self.shared.retention.bytes);
        if push.len() > limit {
            return Err(LogError::TooLarge { bytes: push.len(), limit });
        }
        let names = self.log_names(key);
        let tag = format!("{:016x}", Position::BEGINNING.next(push).tag());
        let channel = self.shared.names.channel(&Topic::key(key));
        let keys = [names.list.as_bytes(), names.ids.as_bytes()];
        let keys = if draft.once().is_some() { &keys[..] } else { &keys[..1] };
        let arguments: [&[u8]; 5] = [
            tag.as_bytes(),
            push.as_bytes(),
            channel.as_bytes(),
            &self.shared.announcement,
            draft.once().unwrap_or_default().as_bytes(),
        ];
        let append = &self.shared.log.append;
        let answer = self.shared.commands.run(append, names.partition, keys, &arguments).await?;
        appended(&answer).ok_or(LogError::Unknown(CallError::Unexpected.into()))
    }

    async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        let (from, after) = match from {
            ReadFrom::After(after) => ("after", after),
            ReadFrom::Unread => ("unread", Position::BEGINNING),
            ReadFrom::Latest => ("latest", Position::BEGINNING),
            ReadFrom::End => ("end", Position::BEGINNING),
        };
        self.read_log(key, from, after, limit).await
    }

    async fn end(&self, key: &Key) -> Result<Position, LogError> {
        Ok(self.read_log(key, "end", Position::BEGINNING, Limit { entries: 0, bytes: 0 }).await?.end)
    }

    async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
        let names = self.log_names(key);
        let keys = [names.list.as_bytes(), names.seen.as_bytes()];
        let at = at.to_string();
        self.shared.commands.run(&self.shared.log.seen, names.partition, &keys, &[at.as_bytes()]).await?;
        Ok(())
    }

    async fn forget(&self, key: &Key) -> Result<(), LogError> {
        let names = self.log_names(key);
        let command: [&[u8]; 4] =
            [b"DEL", names.list.as_bytes(), names.ids.as_bytes(), names.seen.as_bytes()];
        self.shared.commands.call(names.partition, &command).await?;
        Ok(())
    }

    fn shared(&self) -> bool {
        true
    }
}

impl From<CallError> for LogError {
    fn from(error: CallError) -> Self {
        if error.is_without_effect() { Self::Failed(error.into()) } else { Self::Unknown(error.into()) }
    }
}

/// The result of an append: `= at`, or `+ at prev time`, with `-` if the entry was not announced.
fn appended(answer: &Value) -> Option<Appended> {
    let mut parts = answer.as_str()?.split(' ');
    let (sign, at) = (parts.next()?, parts.next()?.parse().ok()?);
    if sign == "=" {
        return Some(Appended::again(at));
    }
    let mut appended = Appended::new(at, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    appended.announced = sign == "+";
    Some(appended)
}

fn page(answer: Value) -> Option<Page> {
    let mut parts = answer.into_array()?.into_iter();
    let gap = match parts.next()?.as_str()? {
        "trimmed" => Some(GapKind::Trimmed),
        "reset" => Some(GapKind::Reset),
        _ => None,
    };
    let position = |value: Value| value.as_str()?.parse().ok();
    let mut page = Page::new(position(parts.next()?)?, position(parts.next()?)?);
    (page.gap, page.more) = (gap, parts.next()?.as_int()? != 0);
    let mut prev = page.from;
    for part in parts {
        let Value::Text(line) = part else { return None };
        let entry = entry(&line, prev)?;
        prev = entry.at;
        page.entries.push(entry);
    }
    Some(page)
}

/// An entry of the list: `position time total push`.
fn entry(line: &Bytes, prev: Position) -> Option<Entry> {
    let mut parts = str::from_utf8(line).ok()?.splitn(4, ' ');
    let (at, time) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let push = parts.nth(1)?;
    Some(Entry { at, prev, time, push: Text::from(push) })
}
