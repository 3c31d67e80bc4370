use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use super::kept::Head;
use crate::key::Key;

/// The last entries of the keys that got one lately, so that the next one needs one round trip. Another node may have added to a key
/// meanwhile: JetStream then refuses the entry.
///
/// Appends to a key wait for each other here rather than compete.
pub(super) struct Heads {
    stripes: Vec<Mutex<Stripe>>,
    hasher: RandomState,
}

#[derive(Default)]
pub(super) struct Stripe {
    /// The connection on which the heads were learned. After another one they prove nothing.
    epoch: u64,
    /// The latest is the last.
    heads: VecDeque<(Key, Head)>,
}

const STRIPES: usize = 512;

/// Heads of a stripe.
const HEADS: usize = 16;

impl Heads {
    pub(super) fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// The turn of a key.
    pub(super) async fn turn(&self, key: &Key) -> MutexGuard<'_, Stripe> {
        self.stripes[self.hasher.hash_one(key) as usize % STRIPES].lock().await
    }
}

impl Stripe {
    /// Takes the head of a key. It is put back when it is known again: a dropped append leaves none.
    pub(super) fn take(&mut self, key: &Key, epoch: u64) -> Option<Head> {
        if self.epoch != epoch {
            self.heads.clear();
            self.epoch = epoch;
        }
        let index = self.heads.iter().position(|(known, _)| known == key)?;
        self.heads.remove(index).map(|(_, head)| head)
    }

    pub(super) fn put(&mut self, key: &Key, epoch: u64, head: Head) {
        if self.epoch != epoch {
            return;
        }
        if self.heads.len() == HEADS {
            self.heads.pop_front();
        }
        self.heads.push_back((key.clone(), head));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_few_and_of_one_connection() {
        let mut stripe = Stripe::default();
        let key = |number: usize| Key::new(number.to_string()).unwrap();
        assert!(stripe.take(&key(0), 1).is_none());
        for number in 0..=HEADS {
            stripe.put(&key(number), 1, Head::default());
        }
        assert!(stripe.take(&key(0), 1).is_none());
        assert!(stripe.take(&key(1), 1).is_some());
        assert!(stripe.take(&key(1), 1).is_none());
        assert!(stripe.take(&key(2), 2).is_none());
        stripe.put(&key(2), 1, Head::default());
        assert!(stripe.take(&key(2), 2).is_none());
    }
}
