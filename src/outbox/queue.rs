//! The frames that wait for one socket, and how far the first has been written.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};

use crate::websocket::split_frame;

/// A queue of frames that owns no heap memory while it holds at most one, as it nearly always does.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// What is to be written next.
    first: Option<Entry>,
    /// There only if there is any: an idle session's is one word.
    #[expect(clippy::box_collection, reason = "three words less in every idle session")]
    rest: Option<Box<VecDeque<Entry>>>,
    /// How much of the first has been written. If anything has, nothing may come before its end.
    written: usize,
    /// What all that is not written yet weighs.
    bytes: usize,
    messages: usize,
}

/// One or several whole frames.
#[derive(Debug)]
struct Entry {
    frames: Frames,
    /// A control frame is none.
    messages: usize,
}

#[derive(Debug)]
enum Frames {
    /// As they came, perhaps shared with the queues of other sessions.
    Shared(Bytes),
    /// Small ones, copied together: that costs less than to share each and to hand each to the kernel.
    Gathered(Vec<u8>),
}

/// How many entries one system call writes at most.
const BATCH: usize = 64;

/// Up to so many bytes a frame is small.
const SMALL: usize = 512;

/// So many bytes of small frames are copied together.
const GATHERED: usize = 4 * 1024;

/// So many bytes of control frames wait together: 16 of the longest.
const CONTROLS: usize = 16 * 127;

/// For so many frames of the first ones' size there is room from the beginning.
const ROOM: usize = 16;

thread_local! {
    /// A buffer for the next small frames: a reply follows a reply, on the same thread.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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
        let last = match &mut self.rest {
            Some(rest) => rest.back_mut(),
            None if self.written == 0 => self.first.as_mut(),
            None => None,
        };
        if last.is_some_and(|last| last.gather(&bytes, messages)) {
            return;
        }
        let entry = Entry { frames: Frames::Shared(bytes), messages };
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.rest.get_or_insert_default().push_back(entry),
        }
    }

    /// Puts a control frame at the first place where a frame may begin, or behind those of its kind that stand
    /// there already. When these are many it takes their place.
    pub(super) fn interject(&mut self, frame: Bytes) {
        let at_first = self.written == 0;
        let place =
            if at_first { self.first.as_mut() } else { self.rest.as_mut().and_then(|rest| rest.front_mut()) };
        let len = frame.len();
        let entry = Entry { frames: Frames::Shared(frame), messages: 0 };
        if let Some(waiting) = place
            && waiting.messages == 0
            && waiting.bytes().first() == entry.bytes().first()
        {
            self.bytes -= waiting.bytes().len();
            waiting.join(entry);
            self.bytes += waiting.bytes().len();
            return;
        }
        self.bytes += len;
        if at_first {
            if let Some(first) = self.first.replace(entry) {
                self.rest.get_or_insert_default().push_front(first);
            }
        } else {
            self.rest.get_or_insert_default().push_front(entry);
        }
    }

    /// Drops what waits, but for the rest of an entry that the peer has seen the beginning of.
    pub(super) fn discard(&mut self) {
        self.rest = None;
        self.first.take_if(|_| self.written == 0);
        self.bytes = self.first.as_ref().map_or(0, |first| first.bytes().len() - self.written);
        self.messages = self.first.as_ref().map_or(0, |first| first.messages);
    }

    /// What remains when all is dropped that may be, in bytes and messages.
    pub(super) fn kept(&self) -> (usize, usize) {
        let mut kept = (self.bytes, self.messages);
        let mut drop = |(bytes, messages): (usize, usize)| kept = (kept.0 - bytes, kept.1 - messages);
        if let Some(first) = &self.first {
            drop(first.droppable(self.written));
        }
        self.rest.iter().flat_map(|rest| rest.iter()).for_each(|entry| drop(entry.droppable(0)));
        kept
    }

    /// Drops the message that has waited longest, if there is one of which nothing has been written.
    pub(super) fn drop_oldest(&mut self) -> bool {
        if let Some(first) = &mut self.first
            && let Some(len) = first.drop_frame(self.written)
        {
            self.forget(len);
            if self.first.as_ref().is_some_and(|first| first.bytes().is_empty()) {
                self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
                self.rest.take_if(|rest| rest.is_empty());
            }
            return true;
        }
        let Some(rest) = &mut self.rest else { return false };
        // Control frames stand in front of all others, and are few.
        for (place, entry) in rest.iter_mut().enumerate() {
            if let Some(len) = entry.drop_frame(0) {
                if entry.bytes().is_empty() {
                    rest.remove(place);
                }
                self.rest.take_if(|rest| rest.is_empty());
                self.forget(len);
                return true;
            }
        }
        false
    }

    fn forget(&mut self, len: usize) {
        self.bytes -= len;
        self.messages -= 1;
    }

    /// Hands what waits to `write`, as much as one system call takes. Returns what `write` does.
    pub(super) fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let Some(first) = &self.first else { return write(&[]) };
        let first = IoSlice::new(&first.bytes()[self.written..]);
        let Some(rest) = &self.rest else { return write(&[first]) };
        let mut slices = [first; BATCH];
        let mut count = 1;
        for (slice, entry) in slices[1..].iter_mut().zip(&**rest) {
            *slice = IoSlice::new(entry.bytes());
            count += 1;
        }
        write(&slices[..count])
    }

    /// So many bytes more have been written.
    pub(super) fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.written += written;
        while let Some(first) = self.first.take_if(|first| self.written >= first.bytes().len()) {
            self.written -= first.bytes().len();
            self.messages -= first.messages;
            self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
            first.recycle();
        }
        // An idle session keeps no buffer.
        self.rest.take_if(|rest| rest.is_empty());
    }
}

impl Entry {
    fn bytes(&self) -> &[u8] {
        match &self.frames {
            Frames::Shared(bytes) => bytes,
            Frames::Gathered(bytes) => bytes,
        }
    }

    /// Takes a control frame in behind those of its kind, or, when these are many, in their place.
    fn join(&mut self, frame: Self) {
        let joined = [self.bytes(), frame.bytes()].concat();
        *self = if joined.len() <= CONTROLS {
            Self { frames: Frames::Shared(joined.into()), messages: 0 }
        } else {
            frame
        };
    }

    /// Takes small frames in, if it is made of such itself. Control frames stay alone: the next may replace them.
    fn gather(&mut self, frames: &[u8], messages: usize) -> bool {
        if self.messages == 0 || messages == 0 || frames.len() > SMALL {
            return false;
        }
        match &mut self.frames {
            Frames::Gathered(gathered) if gathered.len() + frames.len() <= GATHERED => {
                gathered.extend_from_slice(frames);
            }
            Frames::Shared(first) if first.len() <= SMALL => {
                let mut gathered = SPARE.take();
                gathered.reserve(GATHERED.min(ROOM * (first.len() + frames.len()) / 2));
                gathered.extend_from_slice(first);
                gathered.extend_from_slice(frames);
                self.frames = Frames::Gathered(gathered);
            }
            _ => return false,
        }
        self.messages += messages;
        true
    }

    /// Where the first frame begins of which nothing has been written. What was sent as one and is begun is finished.
    fn untouched(&self, written: usize) -> Option<usize> {
        match &self.frames {
            _ if self.messages == 0 => None,
            _ if written == 0 => Some(0),
            Frames::Shared(_) => None,
            Frames::Gathered(bytes) => {
                let mut at = 0;
                while at < written {
                    at += frame_len(&bytes[at..])?;
                }
                Some(at)
            }
        }
    }

    /// How many bytes and messages may be dropped, of an entry of which so much has been written.
    fn droppable(&self, written: usize) -> (usize, usize) {
        let Some(at) = self.untouched(written) else { return (0, 0) };
        let mut rest = &self.bytes()[at..];
        let (bytes, mut messages) = (rest.len(), 0);
        while split_frame(&mut rest).is_some() {
            messages += 1;
        }
        (bytes, messages)
    }

    /// Takes the first frame out of which nothing has been written. Returns its length.
    fn drop_frame(&mut self, written: usize) -> Option<usize> {
        let at = self.untouched(written)?;
        let len = frame_len(&self.bytes()[at..])?;
        match &mut self.frames {
            Frames::Shared(bytes) => bytes.advance(len),
            Frames::Gathered(bytes) => drop(bytes.drain(at..at + len)),
        }
        self.messages -= 1;
        Some(len)
    }

    /// Keeps the buffer for others, if there is one.
    fn recycle(self) {
        if let Frames::Gathered(mut gathered) = self.frames {
            gathered.clear();
            SPARE.set(gathered);
        }
    }
}

fn frame_len(frames: &[u8]) -> Option<usize> {
    split_frame(&mut &*frames).map(|(frame, _)| frame.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{OpCode, frame};

    /// Messages with payloads of these lengths, each of a byte of its own.
    fn messages(lens: &[usize]) -> Vec<Bytes> {
        (0..).zip(lens).map(|(number, len)| frame(OpCode::Text, &vec![number; *len])).collect()
    }

    #[test]
    fn the_oldest_are_dropped_one_by_one_but_not_what_is_begun() {
        // Gathered, alone, and gathered again.
        let lens = [10, 20, 30, 1_000, 300, 5];
        for written in 0..=messages(&lens[..3]).concat().len() {
            let mut queue = Queue::default();
            let all = messages(&lens);
            all.iter().for_each(|frame| queue.push(frame.clone(), 1));
            let (bytes, count) = (queue.bytes(), queue.messages());
            queue.advance(written);
            // What stands in front of the first that nothing has been written of.
            let mut begun = 0;
            let mut at = 0;
            while at < written {
                at += all[begun].len();
                begun += 1;
            }
            let whole = written == messages(&lens[..3]).concat().len();
            let counted = if whole { begun } else { 0 };
            assert_eq!((queue.bytes(), queue.messages()), (bytes - written, count - counted), "{written}");
            for oldest in begun..all.len() {
                let expected = [&all[..begun], &all[oldest..]].concat().concat()[written..].to_vec();
                assert_eq!(waiting(&queue), expected, "{written} {oldest}");
                assert_eq!(queue.bytes(), expected.len());
                assert!(queue.drop_oldest());
            }
            assert!(!queue.drop_oldest());
            assert_eq!(waiting(&queue), all[..begun].concat()[written..]);
            assert_eq!(queue.kept(), (queue.bytes(), queue.messages()));
            queue.advance(queue.bytes());
            assert!(queue.is_empty() && queue.rest.is_none());
            assert_eq!((queue.bytes(), queue.messages()), (0, 0));
        }
    }

    #[test]
    fn what_may_be_dropped_is_known_before() {
        let mut queue = Queue::default();
        queue.push(messages(&[10, 20, 30]).concat().into(), 3);
        messages(&[600, 40, 50]).into_iter().for_each(|frame| queue.push(frame, 1));
        assert_eq!(queue.kept(), (0, 0));
        // Sent as one: what is begun is finished.
        queue.advance(1);
        assert_eq!(queue.kept(), (12 + 22 + 32 - 1, 3));
        queue.interject(control("P"));
        assert_eq!(queue.kept(), (12 + 22 + 32, 3));
        let mut dropped = 0;
        while queue.drop_oldest() {
            dropped += 1;
        }
        assert_eq!((dropped, queue.bytes(), queue.messages()), (3, 12 + 22 + 32, 3));
        assert!(waiting(&queue).ends_with(b"P"));
    }

    #[test]
    fn several_that_were_sent_together_are_dropped_one_by_one() {
        let mut queue = Queue::default();
        queue.interject(control("P"));
        queue.push(messages(&[10, 20]).concat().into(), 2);
        assert!(queue.drop_oldest());
        assert_eq!(waiting(&queue), [b"P", &*messages(&[10, 20])[1]].concat());
        assert_eq!((queue.bytes(), queue.messages()), (23, 1));
        assert!(queue.drop_oldest());
        assert_eq!((waiting(&queue), queue.messages()), (b"P".to_vec(), 0));
        assert!(!queue.drop_oldest());
    }

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
            assert!(queue.messages() == 0 && queue.rest.is_none());
        }
    }

    #[test]
    fn a_control_frame_waits_for_the_end_of_the_frame_that_was_begun() {
        let mut queue = queue(&[b"abc", b"d"]);
        queue.interject(control("P1"));
        assert_eq!(waiting(&queue), b"P1abcd");
        queue.advance(3);
        queue.push(Bytes::from_static(b"e"), 1);
        queue.interject(control("P2"));
        assert_eq!(waiting(&queue), b"bcdP2e");
        assert_eq!((queue.bytes(), queue.messages()), (6, 3));
    }

    #[test]
    fn control_frames_of_a_kind_keep_their_order() {
        let mut queue = queue(&[b"abc"]);
        queue.interject(control("P1"));
        queue.interject(control("P22"));
        queue.interject(control("Q1"));
        assert_eq!(waiting(&queue), b"Q1P1P22abc");
        assert_eq!((queue.bytes(), queue.messages()), (10, 1));
        queue.advance(4);
        queue.interject(control("P3"));
        assert_eq!(waiting(&queue), b"P22P3abc");
    }

    #[test]
    fn a_control_frame_takes_the_place_of_many_of_its_kind() {
        let mut queue = queue(&[b"abc"]);
        for number in 0..10_000_u32 {
            queue.interject(Bytes::from([b"P", &number.to_be_bytes()[..], &[0; 120]].concat()));
            assert!(queue.bytes() <= 3 + CONTROLS && queue.bytes() == waiting(&queue).len());
        }
        assert_eq!(queue.messages(), 1);
        let bytes = waiting(&queue);
        assert_eq!(bytes[bytes.len() - 3 - 125..][1..5], 9_999_u32.to_be_bytes());
    }

    #[test]
    fn what_was_begun_is_not_discarded() {
        let mut queue = queue(&[b"abc", b"d"]);
        queue.advance(1);
        queue.push(Bytes::from_static(b"e"), 1);
        queue.discard();
        assert_eq!(waiting(&queue), b"bcd");
        assert_eq!((queue.bytes(), queue.messages()), (3, 2));
        queue.advance(3);
        queue.push(Bytes::from_static(b"x"), 1);
        queue.discard();
        assert!(queue.is_empty());
        assert_eq!((queue.bytes(), queue.messages()), (0, 0));
    }

    #[test]
    fn more_than_one_call_can_write_is_written_by_the_next() {
        let mut queue = Queue::default();
        let frames: Vec<_> = (0..100).map(|n: u8| vec![n; SMALL + 1]).collect();
        frames.iter().for_each(|frame| queue.push(Bytes::copy_from_slice(frame), 1));
        assert_eq!(waiting(&queue), frames[..BATCH].concat());
        queue.advance(BATCH * (SMALL + 1));
        assert_eq!(waiting(&queue), frames[BATCH..].concat());
    }

    #[test]
    fn small_frames_are_gathered_but_not_for_ever() {
        let mut queue = Queue::default();
        let frames: Vec<_> = (0..100).map(|n: u8| vec![n; 100]).collect();
        frames.iter().for_each(|frame| queue.push(Bytes::copy_from_slice(frame), 1));
        let lens = queue.with_slices(|slices| slices.iter().map(|slice| slice.len()).collect::<Vec<_>>());
        assert_eq!(lens, [4000, 4000, 2000]);
        assert_eq!(waiting(&queue), frames.concat());
        assert_eq!((queue.bytes(), queue.messages()), (10_000, 100));
    }

    #[test]
    fn a_control_frame_is_not_gathered() {
        let mut queue = Queue::default();
        queue.interject(control("P1"));
        queue.push(Bytes::from_static(b"abc"), 1);
        queue.interject(control("P2"));
        assert_eq!(waiting(&queue), b"P1P2abc");
        queue.push(control("C"), 0);
        assert_eq!(queue.rest.map(|rest| rest.len()), Some(2));
    }
}
