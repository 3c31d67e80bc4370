use std::cell::Cell;

/// The most that one read returns.
const LEN: usize = 32 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the read buffer of this thread. All connections of a worker share it, so an idle connection has none. It is zeroed
/// once, not before every read.
pub(super) fn with<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    // Taken, not borrowed: a handler that polls a connection inside this call makes another buffer.
    let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; LEN].into_boxed_slice());
    let result = use_it(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}
