use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{TicketError, TicketHash, TicketStore};
use crate::key::{Identity, Key};

/// Ticket store in the memory of this process. It holds at most 65,536 unused tickets, and at most 64 for each key, so that one
/// user cannot fill the store.
#[derive(Default)]
pub struct MemoryTickets(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    tickets: HashMap<TicketHash, (Identity, Instant)>,
    /// The same tickets by expiry. Each call removes expired tickets.
    ends: BTreeSet<(Instant, TicketHash)>,
    /// Number of tickets of each key.
    of: HashMap<Key, usize>,
}

const MOST: usize = 1 << 16;
const MOST_OF_A_KEY: usize = 64;

impl MemoryTickets {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes expired tickets and returns the rest.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some(&(_, over)) = waiting.ends.first().filter(|(end, _)| *end <= now) {
            waiting.remove(&over);
        }
        waiting
    }
}

#[async_trait]
impl TicketStore for MemoryTickets {
    async fn put(
        &self,
        ticket: TicketHash,
        identity: Identity,
        lifetime: Duration,
    ) -> Result<(), TicketError> {
        let mut waiting = self.waiting();
        let of_key = waiting.of.get(identity.key()).copied().unwrap_or(0);
        if waiting.tickets.len() >= MOST || of_key >= MOST_OF_A_KEY {
            return Err(TicketError::Full);
        }
        let Some(end) = Instant::now().checked_add(lifetime) else { return Err(TicketError::Full) };
        waiting.of.insert(identity.key().clone(), of_key + 1);
        waiting.ends.insert((end, ticket));
        waiting.tickets.insert(ticket, (identity, end));
        Ok(())
    }

    async fn take(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        Ok(self.waiting().remove(&ticket))
    }

    async fn peek(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        Ok(self.waiting().tickets.get(&ticket).map(|(identity, _)| identity.clone()))
    }
}

impl Waiting {
    fn remove(&mut self, ticket: &TicketHash) -> Option<Identity> {
        let (identity, end) = self.tickets.remove(ticket)?;
        self.ends.remove(&(end, *ticket));
        if let Some(of_key) = self.of.get_mut(identity.key()) {
            *of_key -= 1;
            if *of_key == 0 {
                self.of.remove(identity.key());
            }
        }
        Some(identity)
    }
}

impl std::fmt::Debug for MemoryTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryTickets").field("waiting", &self.waiting().tickets.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(key: impl ToString) -> Identity {
        Identity::new(Key::new(key.to_string()).unwrap())
    }

    fn hash(number: usize) -> TicketHash {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&number.to_le_bytes());
        TicketHash::of(&secret)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_swept_out_whatever_its_lifetime() {
        let store = MemoryTickets::new();
        for number in 0..100 {
            let lifetime = Duration::from_secs(if number % 2 == 0 { 60 } else { 10 });
            store.put(hash(number), identity(number), lifetime).await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(store.take(hash(1)).await.unwrap().is_none());
        {
            let waiting = store.0.lock().unwrap();
            assert_eq!((waiting.tickets.len(), waiting.ends.len(), waiting.of.len()), (50, 50, 50));
        }
        assert!(store.take(hash(2)).await.unwrap().is_some());
        tokio::time::advance(Duration::from_secs(50)).await;
        drop(store.take(hash(0)).await);
        let waiting = store.0.lock().unwrap();
        assert_eq!((waiting.tickets.len(), waiting.ends.len(), waiting.of.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_has_few_and_all_have_many() {
        let store = MemoryTickets::new();
        let second = Duration::from_secs(1);
        for number in 0..MOST_OF_A_KEY {
            store.put(hash(number), identity("alice"), second).await.unwrap();
        }
        let full = store.put(hash(MOST), identity("alice"), second).await;
        assert!(matches!(full, Err(TicketError::Full)));
        store.take(hash(0)).await.unwrap().expect("the ticket is unused");
        store.put(hash(0), identity("alice"), second).await.unwrap();

        for number in MOST_OF_A_KEY..MOST {
            store.put(hash(number), identity(number), second).await.unwrap();
        }
        let full = store.put(hash(MOST), identity("bob"), second).await;
        assert!(matches!(full, Err(TicketError::Full)));
        tokio::time::advance(second).await;
        store.put(hash(MOST), identity("bob"), second).await.unwrap();
    }
}
