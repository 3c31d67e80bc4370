//! The frames that wait for one socket, and how far the first has been written.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A queue of frames that owns no heap memory while it holds at most one, as it nearly always does.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// What is to be written next: what is left of it, if it has been begun.
    first: Option<Entry>,
    rest: VecDeque<Entry>,
    /// What all of it weighs.
    bytes: usize,
    messages: usize,
    /// Whether the peer has seen the beginning of the first frame, so that nothing may come before its end.
    begun: bool,
}

/// One or several whole frames.
#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    messages: usize,
}

/// How many frames one system call writes at most.
const BATCH: usize = 64;

/// Up to so many bytes it costs less to copy frames together than to hand them to the kernel one by one.
const GATHERED: usize = 4 * 1024;

thread_local! {
    static GATHER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Appends frames that are so many messages; a control frame is none.
    pub(super) fn push(&mut self, bytes: Bytes, messages: usize) {
        self.bytes += bytes.len();
        self.messages += messages;
        let entry = Entry { bytes, messages };
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.rest.push_back(entry),
        }
    }

    /// Puts a control frame at the first place where a frame may begin, or in the place of one of its kind
    /// that stands there already.
    pub(super) fn interject(&mut self, frame: Bytes) {
        let at_first = !self.begun;
        let place = if at_first { self.first.as_mut() } else { self.rest.front_mut() };
        self.bytes += frame.len();
        let entry = Entry { bytes: frame, messages: 0 };
        if let Some(waiting) = place
            && waiting.messages == 0
            && waiting.bytes.first() == entry.bytes.first()
        {
            self.bytes -= waiting.bytes.len();
            *waiting = entry;
        } else if at_first {
            if let Some(first) = self.first.replace(entry) {
                self.rest.push_front(first);
            }
        } else {
            self.rest.push_front(entry);
        }
    }

    /// Drops what waits, but for the rest of an entry that the peer has seen the beginning of.
    pub(super) fn discard(&mut self) {
        self.rest = VecDeque::new();
        self.first.take_if(|_| !self.begun);
        self.bytes = self.first.as_ref().map_or(0, |first| first.bytes.len());
        self.messages = self.first.as_ref().map_or(0, |first| first.messages);
    }

    /// Hands what waits to `write`, as much as one system call takes. Returns what `write` does.
    pub(super) fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let Some(first) = &self.first else { return write(&[]) };
        if self.rest.is_empty() {
            return write(&[IoSlice::new(&first.bytes)]);
        }
        let entries = [first].into_iter().chain(&self.rest);
        if self.bytes <= GATHERED {
            return GATHER.with_borrow_mut(|gathered| {
                gathered.clear();
                entries.for_each(|entry| gathered.extend_from_slice(&entry.bytes));
                write(&[IoSlice::new(gathered)])
            });
        }
        let mut slices = [IoSlice::new(&[]); BATCH];
        let mut count = 0;
        for (slice, entry) in slices.iter_mut().zip(entries) {
            *slice = IoSlice::new(&entry.bytes);
            count += 1;
        }
        write(&slices[..count])
    }

    /// So many bytes have been written.
    pub(super) fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = &mut self.first {
            if written < first.bytes.len() {
                first.bytes.advance(written);
                self.begun |= written > 0;
                return;
            }
            written -= first.bytes.len();
            self.messages -= first.messages;
            self.begun = false;
            self.first = self.rest.pop_front();
        }
        // An idle session keeps no buffer.
        if self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn waiting(queue: &Queue) -> Vec<u8> {
        queue.with_slices(|slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
    }

    fn queue(frames: &[&'static [u8]]) -> Queue {
        let mut queue = Queue::default();
        frames.iter().for_each(|frame| queue.push(Bytes::from_static(frame), 1));
        queue
    }

    #[test]
    fn leaves_in_order_whatever_is_written_at_once() {
        let frames: &[&[u8]] = &[b"abc", b"d", b"efgh"];
        for step in 1..=8 {
            let mut queue = queue(frames);
            let mut written = Vec::new();
            while !queue.is_empty() {
                let next = waiting(&queue);
                let step = step.min(next.len());
                written.extend_from_slice(&next[..step]);
                queue.advance(step);
                assert_eq!(queue.bytes(), 8 - written.len());
            }
            assert_eq!(written, b"abcdefgh");
            assert_eq!((queue.messages(), queue.rest.capacity()), (0, 0));
        }
    }

    #[test]
    fn a_control_frame_waits_for_the_end_of_the_frame_that_was_begun() {
        let mut queue = queue(&[b"abc", b"d"]);
        queue.interject(control("P1"));
        assert_eq!(waiting(&queue), b"P1abcd");
        queue.advance(3);
        queue.interject(control("P2"));
        assert_eq!(waiting(&queue), b"bcP2d");
        assert_eq!((queue.bytes(), queue.messages()), (5, 2));
    }

    #[test]
    fn a_control_frame_takes_the_place_of_one_of_its_kind() {
        let mut queue = queue(&[b"abc"]);
        queue.interject(control("P1"));
        queue.interject(control("P22"));
        queue.interject(control("Q1"));
        assert_eq!(waiting(&queue), b"Q1P22abc");
        assert_eq!(queue.bytes(), 8);
    }

    #[test]
    fn what_was_begun_is_not_discarded() {
        let mut queue = queue(&[b"abc", b"d"]);
        queue.advance(1);
        queue.discard();
        assert_eq!(waiting(&queue), b"bc");
        assert_eq!((queue.bytes(), queue.messages()), (2, 1));
        queue.advance(2);
        queue.push(Bytes::from_static(b"x"), 1);
        queue.discard();
        assert!(queue.is_empty());
        assert_eq!((queue.bytes(), queue.messages()), (0, 0));
    }

    #[test]
    fn more_than_one_call_can_write_is_written_by_the_next() {
        let mut queue = Queue::default();
        let frames: Vec<_> = (0..100).map(|n: u8| vec![n; 100]).collect();
        frames.iter().for_each(|frame| queue.push(Bytes::copy_from_slice(frame), 1));
        assert_eq!(waiting(&queue), frames[..BATCH].concat());
        queue.advance(BATCH * 100);
        assert_eq!(waiting(&queue), frames[BATCH..].concat());
    }
}
