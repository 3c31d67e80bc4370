//! All sessions, in the order in which a broadcast goes over them.

use std::sync::Arc;

use crate::session::Session;

/// All sessions, each at a place of its own. One comes or goes in constant time.
///
/// The order is that of arrival, and a newcomer takes the place that became free last. Memory is given out in the same way, by the
/// kernel for sockets too, so neighbours in here are neighbours in memory. In the order of a hash table a broadcast to 10,000
/// sessions takes a sixth more time.
#[derive(Debug, Default)]
pub(super) struct Everyone {
    /// All of the same length, except for the last.
    chunks: Vec<Chunk>,
    free: Vec<usize>,
    sessions: usize,
}

/// Some places. A change copies it if somebody else has it, which is sending to its sessions.
pub(super) type Chunk = Arc<Vec<Option<Session>>>;

/// A broadcast to 100,000 sessions copies 782 pointers under the lock. A change meanwhile copies 128 pointers.
const CHUNK: usize = 128;

impl Everyone {
    pub(super) fn len(&self) -> usize {
        self.sessions
    }

    pub(super) fn chunks(&self) -> Vec<Chunk> {
        self.chunks.clone()
    }

    pub(super) fn insert(&mut self, session: &Session) {
        let place = self.free.pop().unwrap_or_else(|| self.grow());
        session.set_place(place);
        *self.at(place) = Some(session.clone());
        self.sessions += 1;
    }

    pub(super) fn remove(&mut self, session: &Session) {
        let Some(place) = self.place_of(session) else { return };
        *self.at(place) = None;
        self.free.push(place);
        self.sessions -= 1;
        self.shrink();
    }

    fn at(&mut self, place: usize) -> &mut Option<Session> {
        &mut Arc::make_mut(&mut self.chunks[place / CHUNK])[place % CHUNK]
    }

    /// A new place at the end.
    fn grow(&mut self) -> usize {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(None),
            _ => self.chunks.push(Arc::new(vec![None])),
        }
        self.places() - 1
    }

    fn places(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Where a session is. Another store may have given it another place since: then each place is looked at.
    fn place_of(&self, session: &Session) -> Option<usize> {
        let is_at = |place: usize| {
            let chunk = self.chunks.get(place / CHUNK);
            chunk.and_then(|chunk| chunk.get(place % CHUNK)?.as_ref()) == Some(session)
        };
        let place = session.place();
        if is_at(place) { Some(place) } else { (0..self.places()).find(|place| is_at(*place)) }
    }

    /// Gives memory back after a rush, a quarter full being rush enough to keep it.
    fn shrink(&mut self) {
        if self.places() > CHUNK && self.sessions < self.places() / 4 {
            let fewer = std::mem::take(self);
            fewer
                .chunks
                .iter()
                .flat_map(|chunk| chunk.iter().flatten())
                .for_each(|session| self.insert(session));
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn a_newcomer_takes_the_place_that_became_free_last() {
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
    fn a_rush_leaves_no_empty_places_and_keeps_the_order() {
        let (mut everyone, sessions) = (Everyone::default(), sessions(10 * CHUNK));
        sessions.iter().for_each(|session| everyone.insert(session));
        let (staying, leaving): (Vec<_>, Vec<_>) =
            sessions.into_iter().enumerate().partition(|(number, _)| number % 10 == 7);
        leaving.iter().for_each(|(_, session)| everyone.remove(session));
        assert_eq!(listed(&everyone), staying.iter().map(|(_, session)| session.clone()).collect::<Vec<_>>());
        assert!(everyone.places() <= 4 * CHUNK, "{}", everyone.places());
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
