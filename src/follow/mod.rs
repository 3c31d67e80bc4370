//! Follows a log for one connection: what was sent, and what is sent next. Without I/O.

#[cfg(test)]
mod model;
mod request;
mod word;

use std::mem;
use std::vec;

pub(crate) use self::request::FollowFrom;
use self::request::Start;
pub(crate) use self::word::Word;
use crate::delivery::{Entry, Position};
use crate::log::{GapKind, Page, ReadFrom};

/// The place of one connection in the log of its key.
///
/// A live entry that continues the place is sent at once. Anything else (a hole, a queue without room, a doubt) makes the
/// connection read the log after its place. It is live again only when a read finds nothing more. So an entry whose announcement is
/// lost or overtaken is late, but never lost.
///
/// ```text
///          offer: continues, room            offer, doubt: remembered
///               ┌───┐                              ┌───┐
///               │   ▼   hole, no room, doubt       │   ▼
///   all sent,  Live ────────────▶ Behind ──────▶ Reading ─────▶ Feeding
///   nothing     ▲                    ▲   begin_read       page     │  sent, but there is more
///   heard       └────────────────────┴─────────────────────────────┘
/// ```
#[derive(Debug)]
pub(crate) struct Follower {
    /// The position of the last entry that was sent. Before the first read: the position after which it begins.
    at: Position,
    stage: Stage,
    /// The kind of the first read. `None` after its page has come.
    start: Option<Start>,
    /// Whether an entry or a doubt came after the current read began.
    heard: bool,
}

#[derive(Debug)]
enum Stage {
    Live,
    /// The log must be read.
    Behind,
    /// A read is in flight.
    Reading,
    /// The entries of a page are being sent. Boxed, since nearly all followers are live.
    Feeding(Box<Feed>),
}

#[derive(Debug)]
struct Feed {
    next: Option<Entry>,
    rest: vec::IntoIter<Entry>,
    more: bool,
}

/// Decision about a live entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The entry is next and is sent.
    Send,
    /// The entry comes from the log, or was already sent.
    Later,
    /// The entry comes from the log, and the connection must be woken to read it.
    Wake,
}

impl Follower {
    pub(crate) fn new(start: FollowFrom) -> Self {
        let (start, at) = start.split();
        Self { at, stage: Stage::Behind, start: Some(start), heard: false }
    }

    /// Handles an entry that was appended. `send` queues its frame and returns whether there was room.
    pub(crate) fn offer(&mut self, entry: &Entry, send: impl FnOnce(&Entry) -> bool) -> Offer {
        match self.stage {
            Stage::Live if entry.at == self.at => Offer::Later,
            Stage::Live if entry.prev == self.at && send(entry) => {
                self.at = entry.at;
                Offer::Send
            }
            // There is a hole or no room, or the entry is from another log, since this one was emptied or replaced.
            _ => self.doubt(),
        }
    }

    /// Notes that the log may have entries that were not announced.
    pub(crate) fn doubt(&mut self) -> Offer {
        match self.stage {
            Stage::Live => {
                self.stage = Stage::Behind;
                Offer::Wake
            }
            Stage::Behind => Offer::Later,
            Stage::Reading | Stage::Feeding(_) => {
                self.heard = true;
                Offer::Later
            }
        }
    }

    /// Begins a read, if the log must be read. Returns where to read.
    pub(crate) fn begin_read(&mut self) -> Option<ReadFrom> {
        let Stage::Behind = self.stage else { return None };
        self.stage = Stage::Reading;
        self.heard = false;
        Some(match self.start {
            Some(Start::Unread) => ReadFrom::Unread,
            Some(Start::Now | Start::Unreadable) => ReadFrom::End,
            Some(Start::After) | None => ReadFrom::After(self.at),
        })
    }

    /// Handles the result of a read. Returns the notice that the client gets before the entries.
    pub(crate) fn feed(&mut self, page: Page) -> Option<Word> {
        let mut gap = page.gap;
        let Page { from, end, more, mut entries, .. } = page;
        let word = match self.start.take() {
            Some(start) => {
                // An unreadable position is a reset, even if the log reports no gap.
                gap = gap.or((start == Start::Unreadable).then_some(GapKind::Reset));
                Some(Word::From { at: from, to: end, gap })
            }
            None => gap.map(|why| Word::Gap { at: from, why }),
        };
        if gap == Some(GapKind::Reset) {
            entries.clear();
        }
        self.at = from;
        let mut rest = entries.into_iter();
        self.stage = Stage::Feeding(Box::new(Feed { next: rest.next(), rest, more }));
        word
    }

    /// Sends entries of the page while `send` has room. Returns `true` when all are sent. The connection then is live or must read
    /// again.
    pub(crate) fn send_page(&mut self, mut send: impl FnMut(&Entry) -> bool) -> bool {
        let Stage::Feeding(feed) = &mut self.stage else { return true };
        while let Some(entry) = &feed.next {
            if !send(entry) {
                return false;
            }
            self.at = entry.at;
            feed.next = feed.rest.next();
        }
        let again = feed.more || mem::take(&mut self.heard);
        self.stage = if again { Stage::Behind } else { Stage::Live };
        true
    }

    /// Whether entries wait to be sent.
    pub(crate) fn is_feeding(&self) -> bool {
        matches!(self.stage, Stage::Feeding(_))
    }

    /// Whether the log must be read.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self.stage, Stage::Behind)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn an_idle_follower_is_small() {
        // Each session that follows has a follower.
        assert!(size_of::<Mutex<Follower>>() <= 48, "{} bytes", size_of::<Mutex<Follower>>());
    }
}
