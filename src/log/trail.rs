//! The log of one key in memory, without a lock and without a clock.

use std::collections::VecDeque;

use super::clock::is_older;
use super::locate::locate;
use super::{Appended, Draft, GapKind, Limit, LogError, Page, ReadFrom, Retention};
use crate::delivery::{Entry, Position};

/// The log of one key. All times are in milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    entries: VecDeque<Entry>,
    /// Bytes of the entries.
    bytes: usize,
    /// The position of the last entry, which may already be removed.
    end: Position,
    /// The time of the last entry.
    touched: u64,
    seen: Position,
    /// The ids of the last entries that have one, with their positions and times.
    once: VecDeque<(Box<str>, Position, u64)>,
}

/// Number of ids that are remembered for a key.
const ONCE: usize = 1000;

impl Trail {
    pub(crate) fn append(
        &mut self,
        draft: &Draft,
        now: u64,
        retention: &Retention,
    ) -> Result<Appended, LogError> {
        let bytes = draft.push().len();
        if bytes > retention.bytes {
            return Err(LogError::TooLarge { bytes, limit: retention.bytes });
        }
        while self.once.front().is_some_and(|(.., time)| is_older(*time, retention.once, now)) {
            self.once.pop_front();
        }
        if let Some(once) = draft.once()
            && let Some((_, at, _)) = self.once.iter().find(|(known, ..)| &**known == once)
        {
            return Ok(Appended::again(*at));
        }
        let (prev, at) = (self.end, self.end.next(draft.push()));
        self.entries.push_back(Entry { at, prev, time: now, push: draft.push().clone() });
        self.bytes += bytes;
        (self.end, self.touched) = (at, now);
        if let Some(once) = draft.once() {
            self.once.push_back((once.into(), at, now));
            if self.once.len() > ONCE {
                self.once.pop_front();
            }
        }
        self.trim(now, retention);
        Ok(Appended::new(at, prev, now))
    }

    pub(crate) fn read(&mut self, from: ReadFrom, limit: Limit, now: u64, retention: &Retention) -> Page {
        self.trim(now, retention);
        let start = match from {
            ReadFrom::After(after) => self.count_to(after),
            ReadFrom::Unread => self.count_to(self.seen),
            ReadFrom::Latest => Ok(self.entries.len() - self.latest(limit)),
            ReadFrom::End => Ok(self.entries.len()),
        };
        match start {
            Ok(count) => self.page(count, limit),
            Err(GapKind::Trimmed) => self.page(0, limit).with_gap(GapKind::Trimmed),
            Err(gap) => Page::new(self.end, self.end).with_gap(gap),
        }
    }

    pub(crate) fn end(&self) -> Position {
        self.end
    }

    pub(crate) fn see(&mut self, at: Position) {
        if at.seq() > self.seen.seq() && self.count_to(at).is_ok() {
            self.seen = at;
        }
    }

    /// For a model: the position with this number and any tag.
    #[cfg(test)]
    pub(crate) fn with_seq(&self, seq: u64) -> Position {
        let known = self.entries.iter().map(|entry| entry.at).chain([self.end, self.start()]);
        known.into_iter().find(|at| at.seq() == seq).unwrap_or(Position::new(seq, 0))
    }

    /// Bytes of the entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the oldest entry if it has this number.
    pub(crate) fn drop_first(&mut self, seq: u64) {
        if self.first_seq() == Some(seq) {
            self.drop_oldest();
        }
    }

    /// The number of the oldest entry.
    pub(crate) fn first_seq(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.at.seq())
    }

    /// Removes entries that are too old or too many.
    pub(super) fn trim(&mut self, now: u64, retention: &Retention) {
        while self.entries.front().is_some_and(|oldest| {
            self.entries.len() > retention.entries
                || self.bytes > retention.bytes
                || is_older(oldest.time, retention.age, now)
        }) {
            self.drop_oldest();
        }
    }

    /// Whether nothing is left to remember.
    pub(super) fn is_over(&self, now: u64, retention: &Retention) -> bool {
        self.entries.is_empty() && is_older(self.touched, retention.mark, now)
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.push.len();
        }
    }

    /// The position before the oldest entry.
    fn start(&self) -> Position {
        self.entries.front().map_or(self.end, |entry| entry.prev)
    }

    /// The number of entries up to a position, or the gap after it.
    fn count_to(&self, after: Position) -> Result<usize, GapKind> {
        let start = self.start();
        let count = |seq: u64| usize::try_from(seq - start.seq()).unwrap_or(usize::MAX);
        locate(after, start, self.end, |seq| self.entries.get(count(seq) - 1).map(|entry| entry.at.tag()))?;
        Ok(count(after.seq()))
    }

    /// Number of the last entries that fit into a page.
    fn latest(&self, limit: Limit) -> usize {
        let mut left = limit.bytes;
        let fits = |entry: &&Entry| {
            let fits = entry.push.len() <= left;
            left = left.saturating_sub(entry.push.len());
            fits
        };
        let count = self.entries.iter().rev().take(limit.entries).take_while(fits).count();
        count.max(usize::from(limit.entries > 0 && !self.entries.is_empty()))
    }

    fn page(&self, count: usize, limit: Limit) -> Page {
        let from = count.checked_sub(1).map_or(self.start(), |index| self.entries[index].at);
        Page::new(from, self.end).filled(self.entries.range(count..).cloned(), limit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::Push;

    const ALL: Limit = Limit { entries: usize::MAX, bytes: usize::MAX };

    fn draft(text: &'static str) -> Draft {
        Push::message(text).kept().into()
    }

    fn texts(page: &Page) -> Vec<u64> {
        page.entries.iter().map(|entry| entry.at.seq()).collect()
    }

    fn filled(count: u64, retention: &Retention) -> (Trail, Vec<Position>) {
        let mut trail = Trail::default();
        let all = (0..count).map(|now| trail.append(&draft("a"), now, retention).unwrap().at).collect();
        (trail, all)
    }

    #[test]
    fn the_oldest_go_by_number_bytes_and_age_and_a_reader_is_told() {
        let len = draft("a").push().len();
        let second = Duration::from_secs(1);
        for (retention, now) in [
            (Retention { entries: 3, ..Retention::default() }, 4),
            (Retention { bytes: 3 * len, ..Retention::default() }, 4),
            (Retention { age: second, ..Retention::default() }, 1002),
        ] {
            let (mut trail, at) = filled(5, &retention);
            let mut read = |from| trail.read(from, ALL, now, &retention);
            let trimmed = read(ReadFrom::After(Position::BEGINNING));
            assert_eq!((texts(&trimmed), trimmed.gap), (vec![3, 4, 5], Some(GapKind::Trimmed)));
            assert_eq!((trimmed.from, trimmed.end), (at[1], at[4]));
            // A page at position 2 or later misses nothing.
            assert_eq!(read(ReadFrom::After(at[1])).gap, None);
            assert_eq!(read(ReadFrom::After(at[0])).gap, Some(GapKind::Trimmed));
            assert_eq!(read(ReadFrom::Unread).gap, Some(GapKind::Trimmed));
        }
    }

    #[test]
    fn the_end_is_remembered_longer_than_the_entries() {
        let retention = Retention::default();
        let (mut trail, at) = filled(2, &retention);
        let later = 8 * 24 * 3600 * 1000;
        let page = trail.read(ReadFrom::After(at[1]), ALL, later, &retention);
        assert_eq!((page.entries.len(), page.gap, page.end), (0, None, at[1]));
        let page = trail.read(ReadFrom::After(at[0]), ALL, later, &retention);
        assert_eq!((page.from, page.gap), (at[1], Some(GapKind::Trimmed)));
        assert!(!trail.is_over(later, &retention));
        assert!(trail.is_over(4 * later, &retention));
    }

    #[test]
    fn a_position_of_another_log_is_a_reset() {
        let retention = Retention::default();
        let (mut trail, at) = filled(3, &retention);
        for foreign in [
            Position::new(1, at[0].tag() ^ 1),
            Position::new(3, at[2].tag() ^ 1),
            Position::new(4, 7),
            Position::new(0, 7),
            Position::new(u64::MAX, 7),
        ] {
            let page = trail.read(ReadFrom::After(foreign), ALL, 3, &retention);
            assert_eq!(
                (page.entries.len(), page.from, page.gap),
                (0, at[2], Some(GapKind::Reset)),
                "{foreign}"
            );
        }
    }

    #[test]
    fn pages_are_bounded_and_the_latest_end_at_the_end() {
        let retention = Retention::default();
        let (mut trail, at) = filled(5, &retention);
        let len = draft("a").push().len();
        let mut read = |from, entries, bytes| trail.read(from, Limit { entries, bytes }, 5, &retention);
        let page = read(ReadFrom::After(at[0]), 2, usize::MAX);
        assert_eq!((texts(&page), page.more), (vec![2, 3], true));
        let page = read(ReadFrom::After(at[0]), 9, 3 * len);
        assert_eq!((texts(&page), page.more), (vec![2, 3, 4], true));
        // A page has at least one entry, so that a reader makes progress.
        assert_eq!(texts(&read(ReadFrom::After(at[0]), 9, 0)), [2]);
        let page = read(ReadFrom::Latest, 9, 2 * len);
        assert_eq!((texts(&page), page.from, page.more, page.gap), (vec![4, 5], at[2], false, None));
        assert_eq!(texts(&read(ReadFrom::Latest, 3, 0)), [5]);
        assert_eq!(texts(&read(ReadFrom::End, 9, 9)), [0_u64; 0]);
    }

    #[test]
    fn an_id_is_remembered_for_its_time() {
        let retention = Retention { once: Duration::from_millis(10), ..Retention::default() };
        let mut trail = Trail::default();
        let once = Draft::from(Push::message("a").kept().once("1"));
        let at = trail.append(&once, 0, &retention).unwrap().at;
        assert_eq!(trail.append(&once, 10, &retention).unwrap(), Appended::again(at));
        assert_eq!(trail.append(&once, 11, &retention).unwrap().at.seq(), 2);
    }

    #[test]
    fn seen_moves_forward_only_and_to_what_holds() {
        let retention = Retention::default();
        let (mut trail, at) = filled(3, &retention);
        for (seen, left) in
            [(at[1], 1), (at[0], 1), (Position::new(3, 1), 1), (Position::new(9, 1), 1), (at[2], 0)]
        {
            trail.see(seen);
            assert_eq!(trail.read(ReadFrom::Unread, ALL, 3, &retention).entries.len(), left, "{seen}");
        }
        assert_eq!(trail.len(), 3);
    }
}
