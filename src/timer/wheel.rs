//! A hierarchical timer wheel: to set a timer or to remove it costs the same, however many there are.
//!
//! G. Varghese and A. Lauck, "Hashed and Hierarchical Timing Wheels", 1987, scheme 7.

use std::task::Waker;

/// Slots of a level, as many as a word has bits. Each level's slot is as long as the whole level below it.
const SLOTS: usize = 64;
const BITS: u32 = SLOTS.ilog2();

/// Levels: together 2³⁶ ms, over two years. A later timer rings in their last slot, since the highest level goes round: beyond that is
/// the slot of the present, which would be taken for the next.
const LEVELS: usize = 6;
const LONGEST: u64 = (SLOTS as u64 - 1) << (BITS * (LEVELS as u32 - 1));

/// Entries that are allocated together: 4 KiB.
const CHUNK: usize = 128;

/// A timer in the wheel, from [`Wheel::allocate`] to [`Wheel::free`].
pub(super) type Id = u32;

/// The end of a list.
const NONE: Id = Id::MAX;

/// Timers by the millisecond at which they are due.
pub(super) struct Wheel {
    /// The millisecond up to which the due timers were taken.
    now: u64,
    levels: [Level; LEVELS],
    entries: Vec<Box<[Entry]>>,
    free: Id,
    used: usize,
}

#[derive(Clone, Copy)]
struct Level {
    /// A bit for each slot that is not empty.
    occupied: u64,
    first: [Id; SLOTS],
}

struct Entry {
    /// There while the timer is set.
    waker: Option<Waker>,
    when: u64,
    /// Neighbours in the slot's list. Of a free entry: the next free one.
    next: Id,
    before: Id,
}

impl Wheel {
    pub(super) fn new(now: u64) -> Self {
        let level = Level { occupied: 0, first: [NONE; SLOTS] };
        Self { now, levels: [level; LEVELS], entries: Vec::new(), free: NONE, used: 0 }
    }

    /// A timer that is not set.
    pub(super) fn allocate(&mut self) -> Id {
        if self.free == NONE {
            let start = (self.entries.len() * CHUNK) as Id;
            let chunk = (1..=CHUNK as Id).map(|next| {
                let next = if next == CHUNK as Id { NONE } else { start + next };
                Entry { waker: None, when: 0, next, before: NONE }
            });
            self.entries.push(chunk.collect());
            self.free = start;
        }
        let id = self.free;
        self.free = self.entry(id).next;
        self.used += 1;
        id
    }

    /// Gives a timer back. Returns its waker, if it is set.
    pub(super) fn free(&mut self, id: Id) -> Option<Waker> {
        let waker = self.remove(id);
        self.entry(id).next = self.free;
        self.free = id;
        self.used -= 1;
        if self.used == 0 {
            (self.entries, self.free) = (Vec::new(), NONE);
        }
        waker
    }

    /// Sets a timer to a millisecond. One that is not later than the present is due in the next. Returns its former waker.
    pub(super) fn set(&mut self, id: Id, when: u64, waker: Waker) -> Option<Waker> {
        let former = self.remove(id);
        let when = when.clamp(self.now + 1, self.now + LONGEST);
        let entry = self.entry(id);
        (entry.waker, entry.when) = (Some(waker), when);
        self.link(id);
        former
    }

    /// Stops a timer, if it is set, and returns its waker then.
    pub(super) fn remove(&mut self, id: Id) -> Option<Waker> {
        let Entry { waker, when, next, before } = self.entry(id);
        let (when, next, before) = (*when, *next, *before);
        let waker = waker.take()?;
        if next != NONE {
            self.entry(next).before = before;
        }
        if before != NONE {
            self.entry(before).next = next;
            return Some(waker);
        }
        let (level, slot) = self.place(when);
        let level = &mut self.levels[level];
        level.first[slot] = next;
        if next == NONE {
            level.occupied &= !(1 << slot);
        }
        Some(waker)
    }

    /// Stops the timers that are due at this millisecond, and puts their wakers into `due`.
    pub(super) fn advance(&mut self, now: u64, due: &mut Vec<Waker>) {
        while let Some((level, slot, start)) = self.next_slot()
            && start <= now
        {
            self.now = start;
            let level = &mut self.levels[level];
            level.occupied &= !(1 << slot);
            let mut id = std::mem::replace(&mut level.first[slot], NONE);
            while id != NONE {
                let entry = self.entry(id);
                let this = std::mem::replace(&mut id, entry.next);
                if entry.when <= start {
                    due.extend(entry.waker.take());
                } else {
                    // A slot of a lower level.
                    self.link(this);
                }
            }
        }
        self.now = self.now.max(now);
    }

    /// The millisecond at which [`Wheel::advance`] has something to do. `None`: no timer is set.
    pub(super) fn next(&self) -> Option<u64> {
        self.next_slot().map(|(.., start)| start)
    }

    /// The next slot that is not empty, and its first millisecond. A lower level's always comes first.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        let shift = BITS * level as u32;
        let present = (self.now >> shift) as usize % SLOTS;
        let ahead = self.levels[level].occupied.rotate_right(present as u32).trailing_zeros() as usize;
        let slot = (present + ahead) % SLOTS;
        let turn = 1 << (shift + BITS);
        let start = (self.now & !(turn - 1)) + ((slot as u64) << shift);
        // Only the highest level turns: a timer may lie beyond its end.
        Some((level, slot, if start <= self.now { start + turn } else { start }))
    }

    /// The level and slot of a timer. They stay the same until the slot's turn comes.
    fn place(&self, when: u64) -> (usize, usize) {
        let different = (self.now ^ when) | 1;
        let level = ((u64::BITS - 1 - different.leading_zeros()) / BITS).min(LEVELS as u32 - 1);
        (level as usize, (when >> (BITS * level)) as usize % SLOTS)
    }

    fn link(&mut self, id: Id) {
        let when = self.entry(id).when;
        let (level, slot) = self.place(when);
        let level = &mut self.levels[level];
        level.occupied |= 1 << slot;
        let next = std::mem::replace(&mut level.first[slot], id);
        let entry = self.entry(id);
        (entry.next, entry.before) = (next, NONE);
        if next != NONE {
            self.entry(next).before = id;
        }
    }

    fn entry(&mut self, id: Id) -> &mut Entry {
        let id = id as usize;
        &mut self.entries[id / CHUNK][id % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Rings(AtomicUsize);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Allocate,
        Free(usize),
        Set(usize, u64),
        Remove(usize),
        Advance(u64),
        /// To the next slot, as a clock does.
        Next,
    }

    fn step() -> impl Strategy<Value = Step> {
        let time = || prop_oneof![0..70_u64, 0..5_000_u64, 0..300_000_u64, 0..1_u64 << 35];
        prop_oneof![
            3 => Just(Step::Allocate),
            1 => any::<usize>().prop_map(Step::Free),
            6 => (any::<usize>(), time()).prop_map(|(timer, time)| Step::Set(timer, time)),
            1 => any::<usize>().prop_map(Step::Remove),
            3 => time().prop_map(Step::Advance),
            6 => Just(Step::Next),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        /// Against a map: each timer rings once, at its millisecond, and the wheel never looks later than that.
        #[test]
        fn a_timer_rings_when_it_is_due(start in 0..1_u64 << 40, steps in vec(step(), 1..80)) {
            let mut wheel = Wheel::new(start);
            let mut now = start;
            let mut timers: Vec<(Id, Arc<Rings>)> = Vec::new();
            let mut set = BTreeMap::<Id, u64>::new();
            for step in steps {
                let pick = |place: usize| place.checked_rem(timers.len());
                let mut to = None;
                match step {
                    Step::Allocate => timers.push((wheel.allocate(), Arc::default())),
                    Step::Free(place) => if let Some(place) = pick(place) {
                        let (id, _) = timers.swap_remove(place);
                        wheel.free(id);
                        set.remove(&id);
                    },
                    Step::Set(place, time) => if let Some(place) = pick(place) {
                        let (id, rings) = &timers[place];
                        wheel.set(*id, now + time, Waker::from(rings.clone()));
                        set.insert(*id, now + time.max(1));
                    },
                    Step::Remove(place) => if let Some(place) = pick(place) {
                        wheel.remove(timers[place].0);
                        set.remove(&timers[place].0);
                    },
                    Step::Advance(time) => to = Some(now + time),
                    Step::Next => to = wheel.next(),
                }
                prop_assert_eq!(wheel.next().is_some(), !set.is_empty());
                if let (Some(next), Some(first)) = (wheel.next(), set.values().min()) {
                    prop_assert!(now < next && next <= *first, "{next} for {first}");
                }
                if let Some(to) = to {
                    let mut due = Vec::new();
                    wheel.advance(to, &mut due);
                    due.into_iter().for_each(Waker::wake);
                    now = to;
                    for (id, rings) in &timers {
                        let is_due = set.get(id).is_some_and(|when| *when <= now);
                        prop_assert_eq!(rings.0.swap(0, Ordering::Relaxed), usize::from(is_due));
                    }
                    set.retain(|_, when| *when > now);
                }
            }
            for (id, _) in timers {
                wheel.free(id);
            }
            prop_assert!(wheel.entries.is_empty() && wheel.next().is_none());
        }
    }

    #[test]
    fn a_timer_beyond_the_end_of_the_levels_holds_up_no_other() {
        let mut wheel = Wheel::new(0);
        let [late, early] = [wheel.allocate(), wheel.allocate()];
        for now in (0..200).map(|part| part << 28) {
            wheel.advance(now, &mut Vec::new());
            wheel.set(late, u64::MAX, Waker::noop().clone());
            wheel.set(early, now + (1 << 31), Waker::noop().clone());
            assert!(wheel.next().is_some_and(|next| next <= now + (1 << 31)), "{now}");
        }
    }

    #[test]
    fn a_timer_takes_half_a_cache_line() {
        assert_eq!(size_of::<Entry>(), 32);
    }
}
