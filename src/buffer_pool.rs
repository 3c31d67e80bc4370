//! Buffers for short frames. Each thread keeps some, so that a short message to one session needs no allocation.

use std::cell::RefCell;

/// Bytes of a short frame at most. To copy it costs less than to share it.
pub(crate) const SHORT: usize = 512;

/// Buffers that a thread keeps: one for each session that a flusher writes to in one turn, and some for replies.
const BUFFERS: usize = 136;

/// Bytes of a buffer that is kept, at most. So a thread keeps about half a MiB at most, and 34 KiB of buffers as they are made.
const LARGEST: usize = 4 * 1024;

/// Bytes of a new buffer: most pushes fit.
const NEW: usize = 256;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
#[inline(always)]
pub(crate) fn take() -> Vec<u8> {
    match POOL.try_with(|pool| pool.borrow_mut().pop()) {
        Ok(Some(buffer)) => buffer,
        _ => fresh(),
    }
}

#[cold]
fn fresh() -> Vec<u8> {
    Vec::with_capacity(NEW)
}

/// Keeps a buffer for the next who needs one.
#[inline(always)]
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() > LARGEST {
        return;
    }
    buffer.clear();
    // A thread that ends keeps nothing.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < BUFFERS {
            pool.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_a_bounded_number_of_small_buffers() {
        std::thread::spawn(|| {
            let taken: Vec<_> = (0..2 * BUFFERS).map(|_| take()).collect();
            taken.into_iter().for_each(give_back);
            give_back(Vec::with_capacity(LARGEST + 1));
            let kept = POOL.take();
            assert_eq!(kept.len(), BUFFERS);
            assert!(kept.iter().all(|buffer| buffer.is_empty() && buffer.capacity() == NEW));
        })
        .join()
        .unwrap();
    }
}
