use super::super::NatsError;
use super::kept::Kept;
use super::store::{Line, Store};
use crate::delivery::{Entry, Position};
use crate::log::clock::{is_older, now};
use crate::log::{GapKind, Limit, Page, ReadFrom};

/// Messages of one request at most, and their bytes.
const MESSAGES: usize = 256;
const BYTES: usize = 512 * 1024;

/// What an entry has around its push, about.
const FRAME: usize = 512;

/// Other nodes may remove entries while this one reads.
const ATTEMPTS: usize = 8;

impl Store {
    /// The last entry of a key.
    pub(super) async fn last(&self, line: &Line) -> Result<Option<Kept>, NatsError> {
        let last = self.entries.last(&line.entries).await?;
        last.map(|stored| Kept::read(&line.topic, &stored)).transpose()
    }

    pub(super) async fn read(&self, line: &Line, from: ReadFrom, limit: Limit) -> Result<Page, NatsError> {
        let after = match from {
            ReadFrom::After(after) => after,
            ReadFrom::Unread => self.seen_of(line).await?.map(|(_, at)| at).unwrap_or_default(),
            ReadFrom::Latest => return self.latest(line, limit).await,
            ReadFrom::End => {
                let end = self.last(line).await?.map_or(Position::BEGINNING, |last| last.head.at);
                return Ok(Page::new(end, end));
            }
        };
        for _ in 0..ATTEMPTS {
            let Some(last) = self.last(line).await? else {
                let page = Page::new(Position::BEGINNING, Position::BEGINNING);
                let is_gap = from == ReadFrom::After(after) && after != Position::BEGINNING;
                return Ok(if is_gap { page.with_gap(GapKind::Reset) } else { page });
            };
            if let Some(page) = self.after(line, &last, after, limit).await? {
                return Ok(page);
            }
        }
        Err(NatsError::Protocol("the entries of a key change all the time"))
    }

    /// The entries after a position. `None` if they were removed meanwhile.
    async fn after(
        &self,
        line: &Line,
        last: &Kept,
        after: Position,
        limit: Limit,
    ) -> Result<Option<Page>, NatsError> {
        let end = last.head.at;
        if after == end {
            return Ok(Some(Page::new(end, end)));
        }
        if after.seq() >= end.seq() {
            return Ok(Some(Page::new(end, end).with_gap(GapKind::Reset)));
        }
        let Some(found) = self.entries_from(line, last, after.seq() + 1, limit).await? else {
            return Ok(None);
        };
        let Some(first) = found.first() else { return Ok(None) };
        let mut gap = match first.prev.seq().cmp(&after.seq()) {
            std::cmp::Ordering::Equal if first.prev == after => None,
            std::cmp::Ordering::Greater => Some(GapKind::Trimmed),
            _ => return Ok(Some(Page::new(end, end).with_gap(GapKind::Reset))),
        };
        let mut from = first.prev;
        let now = now();
        let old = found.iter().take_while(|entry| is_older(entry.time, self.retention.age, now)).count();
        if let Some(removed) = found[..old].last() {
            (gap, from) = (Some(GapKind::Trimmed), removed.at);
        }
        let newest = found.last().map_or(end, |entry| entry.at);
        let end = if newest.seq() > end.seq() { newest } else { end };
        if old == found.len() && newest != end {
            // More entries are too old than one page has.
            return Box::pin(self.after(line, last, newest, limit))
                .await
                .map(|page| page.map(|page| page.with_gap(GapKind::Trimmed)));
        }
        let mut page = Page::new(from, end).filled(found.into_iter().skip(old), limit);
        page.gap = gap;
        page.more = page.entries.last().map_or(from, |entry| entry.at) != end;
        Ok(Some(page))
    }

    async fn latest(&self, line: &Line, limit: Limit) -> Result<Page, NatsError> {
        let nothing = Page::new(Position::BEGINNING, Position::BEGINNING);
        let Some(last) = self.last(line).await? else { return Ok(nothing) };
        let end = last.head.at;
        let count = u64::try_from(limit.entries).unwrap_or(u64::MAX).min(end.seq());
        let wanted = Limit { entries: limit.entries, bytes: usize::MAX };
        let found = match count {
            0 => Vec::new(),
            _ => self.entries_from(line, &last, end.seq() - count + 1, wanted).await?.unwrap_or_default(),
        };
        let now = now();
        let mut left = limit.bytes;
        let fits = |entry: &&Entry| {
            let fits = entry.push.len() <= left && !is_older(entry.time, self.retention.age, now);
            left = left.saturating_sub(entry.push.len());
            fits
        };
        let mut fitting = found.iter().rev().take_while(fits).count();
        if fitting == 0 && found.last().is_some_and(|last| !is_older(last.time, self.retention.age, now)) {
            fitting = 1;
        }
        let entries = &found[found.len() - fitting..];
        let end = found.last().map_or(end, |entry| entry.at);
        let from = entries.first().map_or(end, |first| first.prev);
        let mut page = Page::new(from, end);
        page.entries = entries.to_vec();
        Ok(page)
    }

    /// Entries from this number on, or from the oldest if that was removed. They follow each other. `None` if there are none.
    pub(super) async fn entries_from(
        &self,
        line: &Line,
        last: &Kept,
        wanted: u64,
        limit: Limit,
    ) -> Result<Option<Vec<Entry>>, NatsError> {
        if wanted == last.head.at.seq() {
            return Ok(Some(vec![last.entry.clone()]));
        }
        let (mut stream, mut is_found) = (self.find(line, last, wanted).await?.unwrap_or(0), false);
        let (mut entries, mut bytes): (Vec<Entry>, usize) = (Vec::new(), 0);
        loop {
            let count = limit.entries.saturating_sub(entries.len()).clamp(1, MESSAGES);
            let room = limit.bytes.saturating_sub(bytes).saturating_add(FRAME).min(BYTES);
            let found = self.entries.from(&line.entries, stream, count, room).await?;
            let Some(newest) = found.last() else { break };
            stream = newest.seq + 1;
            for stored in &found {
                let entry = Kept::read(&line.topic, stored)?.entry;
                is_found |= entry.at.seq() >= wanted;
                if !is_found {
                    continue;
                }
                // The log was forgotten or trimmed in between: what came first is still true.
                if entries.last().is_some_and(|previous| previous.at != entry.prev) {
                    return Ok(Some(entries));
                }
                bytes = bytes.saturating_add(entry.push.len());
                entries.push(entry);
            }
            let is_end = entries.last().is_some_and(|entry| entry.at.seq() >= last.head.at.seq());
            if is_end || entries.len() >= limit.entries.max(1) || bytes > limit.bytes {
                break;
            }
        }
        Ok(Some(entries).filter(|entries| !entries.is_empty()))
    }

    /// The number in the stream of an entry, by way of what later entries name. `None` if it was removed.
    async fn find(&self, line: &Line, last: &Kept, wanted: u64) -> Result<Option<u64>, NatsError> {
        let mut head = last.head.clone();
        while head.at.seq() > wanted {
            let Some((seq, stream)) = head.step(wanted) else { return Ok(None) };
            if seq == wanted {
                return Ok(Some(stream));
            }
            let Some(stored) = self.entries.get(stream).await?.filter(|it| it.subject == line.entries) else {
                return Ok(None);
            };
            head = Kept::read(&line.topic, &stored)?.head;
            if head.at.seq() != seq {
                return Ok(None);
            }
        }
        Ok(Some(head.stream))
    }
}
