use std::cell::Cell;

/// As much as one read takes at most.
const LEN: usize = 32 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the read buffer of this thread. All connections of a worker share it, so an idle one owns none, and
/// it is zeroed once and not before every read.
pub(super) fn with<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    // Taken, not borrowed: should a handler poll a connection from inside, it makes a buffer of its own.
    let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; LEN].into_boxed_slice());
    let result = use_it(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}
