//! Following a log: what one connection has sent of the log of its key, and what it sends next. Without I/O.

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
/// connection read the log after its place, and only when a read finds nothing more is it live again. So a lost or
/// overtaken entry is late, and never lost.
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
    /// The position of the last entry that was sent, or after which the first read begins.
    at: Position,
    stage: Stage,
    /// The kind of the first read, until its page has come.
    start: Option<Start>,
    /// An entry or a doubt came after the present read began.
    heard: bool,
}

#[derive(Debug)]
enum Stage {
    Live,
    /// The log must be read.
    Behind,
    /// A read is on its way.
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

/// What becomes of a live entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is next, and is sent.
    Send,
    /// It comes from the log, or has come already.
    Later,
    /// The same, and the connection must be woken to read the log.
    Wake,
}

impl Follower {
    pub(crate) fn new(start: FollowFrom) -> Self {
        let (start, at) = start.split();
        Self { at, stage: Stage::Behind, start: Some(start), heard: false }
    }

    /// An entry was appended. `send` queues its frame, and returns whether there was room.
    pub(crate) fn offer(&mut self, entry: &Entry, send: impl FnOnce(&Entry) -> bool) -> Offer {
        match self.stage {
            Stage::Live if entry.at == self.at => Offer::Later,
            Stage::Live if entry.prev == self.at && send(entry) => {
                self.at = entry.at;
                Offer::Send
            }
            // A hole; no room; or an entry of another log, if this one was emptied or replaced.
            _ => self.doubt(),
        }
    }

    /// There may be entries of which nothing was heard.
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

    /// Where to read, if the log must be read.
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

    /// The result of the read. Returns what the client must know before the entries.
    pub(crate) fn feed(&mut self, page: Page) -> Option<Word> {
        let mut gap = page.gap;
        let Page { from, end, more, mut entries, .. } = page;
        let word = match self.start.take() {
            Some(start) => {
                // Whatever the log says.
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

    /// Sends the entries of the page, as long as `send` has room. Ready when all are sent: then the connection is live or
    /// must read again.
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
        // Each session that follows has one.
        assert!(size_of::<Mutex<Follower>>() <= 48, "{} bytes", size_of::<Mutex<Follower>>());
    }
}
