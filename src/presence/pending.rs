use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::after;
use crate::key::Key;

/// The keys whose number of sessions may differ from what is recorded. Without I/O.
///
/// A key is looked at again whenever a session of it comes or goes. A key without sessions waits for the delay first, so that a page
/// that is loaded again is no departure.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    due: HashSet<Key>,
    /// Keys without sessions, and when their departure is recorded. The delay is the same for all, so the first is due first.
    waiting: VecDeque<(Instant, Key)>,
    /// The keys in `waiting`. A key that comes back is removed here, and skipped there.
    departing: HashMap<Key, Instant>,
}

impl Pending {
    /// A session of the key has come or gone.
    pub(crate) fn touch(&mut self, key: Key) {
        self.due.insert(key);
    }

    /// Takes up to this many keys whose sessions are to be counted and recorded.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Key> {
        let keys: Vec<_> = self.due.iter().take(most).cloned().collect();
        for key in &keys {
            self.due.remove(key);
        }
        keys
    }

    /// Decides about a key that was taken and has this many sessions: whether the number is recorded now.
    pub(crate) fn is_recorded(&mut self, key: &Key, sessions: usize, now: Instant, delay: Duration) -> bool {
        if sessions > 0 {
            self.departing.remove(key);
            return true;
        }
        match self.departing.get(key) {
            Some(due) if *due <= now => {
                self.departing.remove(key);
                true
            }
            Some(_) => false,
            None if delay.is_zero() => true,
            None => {
                let due = after(now, delay);
                self.departing.insert(key.clone(), due);
                self.waiting.push_back((due, key.clone()));
                false
            }
        }
    }

    /// Makes the departures due whose delay has passed. Returns when to call this again.
    pub(crate) fn wake(&mut self, now: Instant) -> Option<Instant> {
        while let Some((due, _)) = self.waiting.front() {
            if *due > now {
                return Some(*due);
            }
            if let Some((due, key)) = self.waiting.pop_front()
                && self.departing.get(&key) == Some(&due)
            {
                self.due.insert(key);
            }
        }
        None
    }

    pub(crate) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(5);

    fn key() -> Key {
        Key::new("alice").unwrap()
    }

    /// Touches the key, and returns whether a number of sessions is recorded.
    fn touched(pending: &mut Pending, sessions: usize, now: Instant) -> bool {
        pending.touch(key());
        assert_eq!(pending.take(10), [key()]);
        pending.is_recorded(&key(), sessions, now, DELAY)
    }

    #[test]
    fn an_arrival_is_recorded_at_once_and_a_departure_after_the_delay() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        assert!(touched(&mut pending, 1, now));
        assert!(!touched(&mut pending, 0, now));
        assert_eq!(pending.wake(now), Some(now + DELAY));
        assert!(!pending.is_due());
        assert_eq!(pending.wake(now + DELAY), None);
        assert_eq!(pending.take(10), [key()]);
        assert!(pending.is_recorded(&key(), 0, now + DELAY, DELAY));
        assert_eq!(pending.wake(now + DELAY), None);
    }

    #[test]
    fn a_key_that_comes_back_in_time_has_not_left() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(!touched(&mut pending, 0, now));
        assert!(touched(&mut pending, 1, now + second));
        assert!(!touched(&mut pending, 0, now + 2 * second), "the delay begins again");
        assert_eq!(pending.wake(now + DELAY), Some(now + DELAY + 2 * second));
        assert!(!pending.is_due(), "the first departure does not count");
        pending.wake(now + DELAY + 2 * second);
        assert!(pending.is_due());
    }

    #[test]
    fn without_a_delay_a_departure_is_recorded_at_once() {
        let mut pending = Pending::default();
        assert!(pending.is_recorded(&key(), 0, Instant::now(), Duration::ZERO));
    }

    #[test]
    fn keys_are_taken_in_portions() {
        let mut pending = Pending::default();
        for number in 0..25 {
            pending.touch(Key::new(number.to_string()).unwrap());
        }
        let taken: HashSet<_> = [10, 10, 10].iter().flat_map(|most| pending.take(*most)).collect();
        assert_eq!(taken.len(), 25);
        assert!(!pending.is_due());
    }
}
