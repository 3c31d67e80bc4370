use std::collections::VecDeque;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::Mutant;
use crate::delivery::{Entry, Position};
use crate::follow::{FollowFrom, Follower, Stage, Word};
use crate::log::trail::Trail;
use crate::log::{Draft, GapKind, Limit, Page, ReadFrom, Retention};
use crate::message::Push;

/// A log, its pages, and everything on its way between them.
#[derive(Debug)]
pub(super) struct World {
    random: SmallRng,
    mutant: Option<Mutant>,
    pub(super) log: Trail,
    /// An older state of the log, which a failover may restore.
    old: Trail,
    pub(super) retention: Retention,
    pub(super) pages: Vec<Tab>,
    pub(super) sends: u32,
    /// Appended pushes whose sender got no answer. No page is told of them until the sender tries again.
    unknown: Vec<u32>,
    /// Pages that should have got everything without another read.
    pub(super) late: Vec<usize>,
    /// Whether the log has lost its tail in this run.
    pub(super) failed_over: bool,
}

/// A page and, while it is connected, its session.
#[derive(Debug, Default)]
pub(super) struct Tab {
    pub(super) at: Option<Position>,
    pub(super) heard: Vec<Heard>,
    session: Option<Server>,
    /// Whether the page's session was not told of an event.
    untold: bool,
}

/// The notices and pushes that a page got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    From { asked: Option<Position>, at: Position, gap: Option<GapKind>, log_end: Position },
    Gap { before: Option<Position>, at: Position, why: GapKind },
    Push { at: Position, number: u32 },
}

/// A session of a page.
#[derive(Debug)]
struct Server {
    follower: Follower,
    asked: Option<Position>,
    /// A read in flight, with the answer of the log.
    read: Option<Page>,
    /// Announcements on their way, which may overtake one another.
    announced: VecDeque<Entry>,
    /// Room in the queue.
    room: usize,
}

const LIMIT: Limit = Limit { entries: 3, bytes: usize::MAX };

impl World {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let entries = random.random_range(4..40);
        Self {
            random,
            mutant,
            log: Trail::default(),
            old: Trail::default(),
            retention: Retention { entries, ..Retention::default() },
            pages: (0..3).map(|_| Tab::default()).collect(),
            sends: 0,
            unknown: Vec::new(),
            late: Vec::new(),
            failed_over: false,
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(super) fn step(&mut self) {
        let page = self.random.random_range(0..self.pages.len());
        match self.random.random_range(0..100) {
            0..25 => self.send(),
            25..28 => self.send_unknown(),
            28..31 => self.retry(),
            31..55 => self.announce(page),
            55..60 => self.lose(page),
            60..70 => self.connect(page),
            70..75 => self.disconnect(page),
            75..88 => self.work(page),
            88..92 => self.fill(page),
            92..94 => self.old = self.log.clone(),
            94..95 => self.fail_over(),
            95..97 => self.see(page),
            97..98 => self.crash(page),
            _ => self.doubt(page),
        }
    }

    /// Senders try again, everything in flight arrives, and every page returns.
    pub(super) fn settle(&mut self) {
        while !self.unknown.is_empty() {
            self.retry();
        }
        for page in 0..self.pages.len() {
            self.connect(page);
            for _ in 0..200 {
                self.announce(page);
                self.work(page);
            }
            if !self.pages[page].untold && self.pages[page].at != Some(self.log.end()) {
                self.late.push(page);
            }
            self.doubt(page);
            for _ in 0..200 {
                self.work(page);
            }
        }
    }

    fn draft(&self, number: u32) -> Draft {
        Push::data(number).kept().once(number.to_string()).into()
    }

    /// Appends a new push and announces it.
    fn send(&mut self) {
        self.sends += 1;
        let number = self.sends;
        if let Some(entry) = self.append(number, true) {
            self.tell(&entry);
        }
    }

    /// Appends a new push whose answer is lost. Neither the sender nor a page is told.
    fn send_unknown(&mut self) {
        self.sends += 1;
        self.append(self.sends, true);
        self.unknown.push(self.sends);
    }

    /// The sender of an unknown push tries again.
    fn retry(&mut self) {
        let Some(number) = self.unknown.pop() else { return };
        match self.append(number, !self.is(Mutant::RetryWithoutOnce)) {
            Some(entry) => self.tell(&entry),
            None if self.is(Mutant::RetryTellsNobody) => {}
            None => (0..self.pages.len()).for_each(|page| self.ask_again(page)),
        }
    }

    /// The entry, unless the log has it already.
    fn append(&mut self, number: u32, once: bool) -> Option<Entry> {
        let draft = if once { self.draft(number) } else { Push::data(number).kept().into() };
        let appended = self.log.append(&draft, 0, &self.retention).expect("room");
        let entry = Entry { at: appended.at, prev: appended.prev, time: 0, push: draft.push().clone() };
        (!appended.repeated).then_some(entry)
    }

    fn tell(&mut self, entry: &Entry) {
        for session in self.pages.iter_mut().filter_map(|page| page.session.as_mut()) {
            session.announced.push_back(entry.clone());
        }
    }

    /// One announcement arrives, perhaps not the oldest.
    fn announce(&mut self, page: usize) {
        let [overtakes, mutants @ ..] =
            [self.random.random_bool(0.2), self.is(Mutant::HoleSkipped), self.is(Mutant::LiveBeforeBacklog)];
        let (forgets, drops) = (self.is(Mutant::HeardForgotten), self.is(Mutant::DroppedWhenFull));
        let Tab { at, heard, session, .. } = &mut self.pages[page];
        let Some(Server { follower, announced, room, .. }) = session else { return };
        let entry = if overtakes { announced.pop_back() } else { announced.pop_front() };
        let Some(mut entry) = entry else { return };
        let real = entry.clone();
        if mutants[0] && entry.at.seq() > follower.at.seq() {
            entry.prev = follower.at;
        }
        let mut sent = false;
        follower.offer(&entry, |_| {
            sent = *room > 0;
            if sent {
                *room -= 1;
            }
            sent || drops
        });
        if mutants[1] && matches!(follower.stage, Stage::Reading | Stage::Feeding(_)) {
            sent = true;
        }
        if forgets {
            follower.heard = false;
        }
        if sent {
            hear(at, heard, &real);
        }
    }

    /// An announcement is lost on its way.
    fn lose(&mut self, page: usize) {
        if let Some(session) = &mut self.pages[page].session
            && session.announced.pop_front().is_some()
        {
            self.pages[page].untold = true;
        }
    }

    fn connect(&mut self, page: usize) {
        let tab = &mut self.pages[page];
        if tab.session.is_some() {
            return;
        }
        let from = tab.at.map_or(FollowFrom::Now, FollowFrom::After);
        tab.session = Some(Server {
            follower: Follower::new(from),
            asked: tab.at,
            read: None,
            announced: VecDeque::new(),
            room: 3,
        });
        tab.untold = false;
    }

    fn disconnect(&mut self, page: usize) {
        self.pages[page].session = None;
    }

    /// The page ends in a handler and loses everything that it had not stored.
    fn crash(&mut self, page: usize) {
        let before = self.is(Mutant::PositionBeforeHandlers);
        let tab = &mut self.pages[page];
        tab.session = None;
        if before && let Some(Heard::Push { .. }) = tab.heard.last() {
            // The position moved, and the handler never ran.
            tab.heard.pop();
        }
    }

    /// The connection's task begins a read, gets the answer of a read, or sends entries.
    fn work(&mut self, page: usize) {
        let mutant = self.mutant;
        let Tab { at, heard, session, .. } = &mut self.pages[page];
        let Some(session) = session else { return };
        // The client has read what was queued.
        if self.random.random_bool(0.5) {
            session.room = 3;
        }
        if let Some(page) = session.read.take() {
            let before = *at;
            let first = session.follower.start.is_some();
            match session.follower.feed(page) {
                Some(Word::From { at: from, gap, to }) => {
                    heard.push(Heard::From { asked: session.asked, at: from, gap, log_end: to });
                    *at = Some(from);
                }
                Some(Word::Gap { at: from, why }) => {
                    heard.push(Heard::Gap { before, at: from, why });
                    *at = Some(from);
                }
                None => assert!(!first, "the first word"),
            }
            return;
        }
        let place = session.follower.at;
        let room = &mut session.room;
        session.follower.send_page(|entry| {
            let has_room = *room > 0;
            if has_room {
                *room -= 1;
                hear(at, heard, entry);
            }
            has_room
        });
        if mutant == Some(Mutant::ReplayDoesNotMove) {
            session.follower.at = place;
        }
        if let Some(from) = session.follower.begin_read() {
            session.read = Some(read(&mut self.log, from, mutant, &self.retention));
        }
    }

    /// The client stops reading for a while.
    fn fill(&mut self, page: usize) {
        if let Some(session) = &mut self.pages[page].session {
            session.room = 0;
        }
    }

    /// Steps that the server takes by itself after a lost announcement and after a failover.
    fn doubt(&mut self, page: usize) {
        if !self.is(Mutant::NoDoubt) {
            self.ask_again(page);
        }
    }

    fn ask_again(&mut self, page: usize) {
        if let Some(session) = &mut self.pages[page].session {
            session.follower.doubt();
        }
    }

    /// An older copy of the log takes over.
    fn fail_over(&mut self) {
        self.log = self.old.clone();
        self.failed_over = true;
        self.pages.iter_mut().for_each(|page| page.untold = true);
    }

    fn see(&mut self, page: usize) {
        let Some(at) = self.pages[page].at else { return };
        self.log.see(at);
        if self.is(Mutant::SeenTrims) {
            while self.log.first_seq().is_some_and(|first| first <= at.seq()) {
                let first = self.log.first_seq().unwrap_or_default();
                self.log.drop_first(first);
            }
        }
    }
}

/// The page's handlers run, unless the page already had the push. Then its position moves.
fn hear(at: &mut Option<Position>, heard: &mut Vec<Heard>, entry: &Entry) {
    if at.is_some_and(|at| entry.at.seq() <= at.seq()) {
        return;
    }
    let push: serde_json::Value = serde_json::from_str(&entry.push).expect("a push");
    let number = push["data"].as_u64().and_then(|number| u32::try_from(number).ok()).expect("a number");
    heard.push(Heard::Push { at: entry.at, number });
    *at = Some(entry.at);
}

fn read(log: &mut Trail, from: ReadFrom, mutant: Option<Mutant>, retention: &Retention) -> Page {
    let from = match from {
        ReadFrom::After(after) if mutant == Some(Mutant::PastTheEnd) && after.seq() > log.end().seq() => {
            return Page::new(after, after);
        }
        ReadFrom::After(after) if mutant == Some(Mutant::NoTag) => ReadFrom::After(log.with_seq(after.seq())),
        from => from,
    };
    let mut page = log.read(from, LIMIT, 0, retention);
    if mutant == Some(Mutant::TrimmingNotTold) && page.gap == Some(GapKind::Trimmed) {
        page.gap = None;
    }
    page
}
