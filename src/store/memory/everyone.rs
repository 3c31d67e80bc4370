//! All sessions of the store.

use super::slots::{Chunk, Slots};
use crate::session::Session;

/// All sessions. Each knows its slot, so there is no table of them.
#[derive(Debug, Default)]
pub(super) struct Everyone(Slots);

impl Everyone {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn chunks(&self) -> Vec<Chunk> {
        self.0.chunks()
    }

    pub(super) fn insert(&mut self, session: &Session) {
        session.set_slot(self.0.insert(session));
    }

    pub(super) fn remove(&mut self, session: &Session) {
        let Some(slot) = self.slot_of(session) else { return };
        self.0.remove(slot);
        if self.0.is_sparse() {
            self.0.take().iter().for_each(|session| self.insert(session));
        }
    }

    /// Another store may have given the session another slot since: then it is looked for.
    fn slot_of(&self, session: &Session) -> Option<usize> {
        let slot = session.slot();
        if self.0.has_at(slot, session) { Some(slot) } else { self.0.find(session) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::CHUNK;
    use super::*;
    use crate::auth::RawKey;
    use crate::hub::Hub;
    use crate::key::{Identity, Key};

    fn sessions(number: usize) -> Vec<Session> {
        let hub = Hub::builder(RawKey::from_path()).build();
        let identity = Identity::new(Key::new("alice").unwrap());
        (0..number).map(|_| Session::new(hub.clone(), identity.clone(), None, true, false)).collect()
    }

    fn listed(everyone: &Everyone) -> Vec<Session> {
        everyone.chunks().iter().flat_map(|chunk| chunk.iter().flatten().cloned()).collect()
    }

    #[test]
    fn a_newcomer_takes_the_slot_that_became_free_last() {
        let (mut everyone, sessions) = (Everyone::default(), sessions(2 * CHUNK + 4));
        let (newcomers, first) = sessions.split_at(2);
        first.iter().for_each(|session| everyone.insert(session));
        assert_eq!(listed(&everyone), first);
        everyone.remove(&first[CHUNK]);
        everyone.remove(&first[3]);
        newcomers.iter().for_each(|session| everyone.insert(session));
        let mut expected = first.to_vec();
        (expected[3], expected[CHUNK]) = (newcomers[0].clone(), newcomers[1].clone());
        assert_eq!(listed(&everyone), expected);
        assert_eq!(everyone.len(), first.len());
    }

    #[test]
    fn a_rush_leaves_no_empty_slots_and_keeps_the_order() {
        let (mut everyone, sessions) = (Everyone::default(), sessions(10 * CHUNK));
        sessions.iter().for_each(|session| everyone.insert(session));
        let (staying, leaving): (Vec<_>, Vec<_>) =
            sessions.into_iter().enumerate().partition(|(number, _)| number % 10 == 7);
        leaving.iter().for_each(|(_, session)| everyone.remove(session));
        assert_eq!(listed(&everyone), staying.iter().map(|(_, session)| session.clone()).collect::<Vec<_>>());
        assert!(everyone.chunks().len() <= 4, "{}", everyone.chunks().len());
        staying.iter().for_each(|(_, session)| everyone.remove(session));
        assert_eq!((listed(&everyone).len(), everyone.len()), (0, 0));
    }

    #[test]
    fn a_broadcast_that_has_begun_meets_those_who_were_there() {
        let (mut everyone, sessions) = (Everyone::default(), sessions(CHUNK));
        sessions.iter().for_each(|session| everyone.insert(session));
        let begun = everyone.chunks();
        sessions.iter().for_each(|session| everyone.remove(session));
        assert_eq!(begun.iter().flat_map(|chunk| chunk.iter().flatten()).count(), CHUNK);
    }

    #[test]
    fn a_session_may_be_in_several_stores() {
        let (mut one, mut other, sessions) = (Everyone::default(), Everyone::default(), sessions(3));
        sessions.iter().for_each(|session| one.insert(session));
        sessions.iter().rev().for_each(|session| other.insert(session));
        one.remove(&sessions[0]);
        other.remove(&sessions[0]);
        assert_eq!(listed(&one), sessions[1..]);
        assert_eq!(listed(&other).len(), 2);
        one.remove(&sessions[0]);
        assert_eq!((one.len(), other.len()), (2, 2));
    }
}
