//! The frames that wait for one socket, and how far the first has been written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};

use super::frames::Frames;
use crate::buffer_pool::{self, SHORT};
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

/// How many entries one system call writes at most.
const BATCH: usize = 64;

/// So many bytes of small frames are copied together.
const GATHERED: usize = 4 * 1024;

/// So many bytes of control frames wait together: 16 of the longest.
const CONTROLS: usize = 16 * 127;

/// For so many frames of the first ones' size there is room from the beginning.
const ROOM: usize = 16;

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
    #[inline(always)]
    pub(super) fn push(&mut self, frames: Frames, messages: usize) {
        self.bytes += frames.len();
        self.messages += messages;
        // The usual case, without a call.
        match self.first {
            None => self.first = Some(Entry { frames, messages }),
            Some(_) => self.push_behind(frames, messages),
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, frames: Frames, messages: usize) {
        let last = match &mut self.rest {
            Some(rest) => rest.back_mut(),
            None if self.written == 0 => self.first.as_mut(),
            None => None,
        };
        if last.is_some_and(|last| last.gather(frames.as_slice(), messages)) {
            return frames.recycle();
        }
        let mut entry = Entry { frames, messages };
        entry.frames.trim();
        self.rest.get_or_insert_default().push_back(entry);
    }

    /// Copies short frames behind those that wait, if these are gathered already and nothing else is to be done. Says whether it did.
    #[inline(always)]
    pub(super) fn gather(&mut self, short: &[u8], messages: usize) -> bool {
        let Some(Entry { frames: Frames::Gathered(gathered), messages: waiting }) = &mut self.first else {
            return false;
        };
        let len = gathered.len() + short.len();
        if self.rest.is_some() || self.written > 0 || *waiting == 0 || short.len() > SHORT || len > GATHERED {
            return false;
        }
        gathered.extend_from_slice(short);
        *waiting += messages;
        self.messages += messages;
        self.bytes += short.len();
        true
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

    /// The socket is full: what is next will wait.
    pub(super) fn trim(&mut self) {
        if let Some(first) = &mut self.first {
            first.frames.trim();
        }
    }

    /// So many bytes more have been written.
    pub(super) fn advance(&mut self, written: usize) {
        self.bytes -= written;
        // The usual case, all of one entry: 10 instructions less for each message of a broadcast.
        if self.bytes == 0 && self.rest.is_none() {
            (self.written, self.messages) = (0, 0);
            if let Some(first) = self.first.take() {
                first.frames.recycle();
            }
            return;
        }
        self.written += written;
        while let Some(first) = self.first.take_if(|first| self.written >= first.bytes().len()) {
            self.written -= first.bytes().len();
            self.messages -= first.messages;
            self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
            first.frames.recycle();
        }
        // An idle session keeps no buffer.
        if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
            self.rest = None;
        }
    }
}

impl Entry {
    fn bytes(&self) -> &[u8] {
        self.frames.as_slice()
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
        if self.messages == 0 || messages == 0 || frames.len() > SHORT {
            return false;
        }
        match &mut self.frames {
            Frames::Gathered(gathered) if gathered.len() + frames.len() <= GATHERED => {
                gathered.extend_from_slice(frames);
            }
            Frames::Shared(first) if first.len() <= SHORT => {
                let mut gathered = buffer_pool::take();
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
}

fn frame_len(frames: &[u8]) -> Option<usize> {
    split_frame(&mut &*frames).map(|(frame, _)| frame.len())
}

#[cfg(test)]
mod tests;
