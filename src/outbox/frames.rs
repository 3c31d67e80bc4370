use bytes::Bytes;

use crate::buffer_pool::{self, SHORT};

/// One or several whole frames.
#[derive(Debug)]
pub(crate) enum Frames {
    /// As they came, perhaps shared with the queues of other sessions.
    Shared(Bytes),
    /// Short ones, copied together: that costs less than to share each and to hand each to the kernel. The buffer is of the pool.
    Gathered(Vec<u8>),
}

impl Frames {
    /// A copy of short frames, in a pooled buffer.
    #[inline(always)]
    pub(crate) fn copy(short: &[u8]) -> Self {
        let mut buffer = buffer_pool::take();
        buffer.extend_from_slice(short);
        buffer.into()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Gathered(bytes) => bytes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Gives back what the buffer has too much, for frames that will wait.
    pub(super) fn trim(&mut self) {
        if let Self::Gathered(buffer) = self {
            buffer.shrink_to(2 * buffer.len());
        }
    }

    /// Gives the buffer back, if there is one.
    pub(super) fn recycle(self) {
        if let Self::Gathered(buffer) = self {
            buffer_pool::give_back(buffer);
        }
    }
}

impl From<Bytes> for Frames {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}

impl From<Vec<u8>> for Frames {
    #[inline(always)]
    fn from(frames: Vec<u8>) -> Self {
        if frames.len() <= SHORT { Self::Gathered(frames) } else { Self::long(frames) }
    }
}

impl Frames {
    #[inline(never)]
    fn long(frames: Vec<u8>) -> Self {
        // A buffer that is larger than what is in it would hold more memory than the queue counts.
        if frames.capacity() > 2 * frames.len() {
            let exact = Bytes::copy_from_slice(&frames);
            buffer_pool::give_back(frames);
            return Self::Shared(exact);
        }
        Self::Shared(frames.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_short_keeps_no_buffer_that_is_much_larger() {
        for len in [SHORT + 1, 2000, 4000] {
            let mut buffer = Vec::with_capacity(4096);
            buffer.resize(len, 0);
            let Frames::Shared(bytes) = Frames::from(buffer) else { panic!("{len} bytes are not short") };
            assert!(bytes.try_into_mut().unwrap().capacity() <= 2 * len, "{len}");
        }
    }
}
