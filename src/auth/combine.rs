//! Return types of `or`, `map` and `and_then`.

mod extract;

/// An extractor with a fallback for requests without its credential. See [`KeyExtractor::or`](crate::KeyExtractor::or).
#[derive(Debug, Clone)]
pub struct Or<A, B> {
    first: A,
    second: B,
}

impl<A, B> Or<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

/// An extractor that changes the identities of another extractor. See [`KeyExtractor::map`](crate::KeyExtractor::map).
#[derive(Debug, Clone)]
pub struct Map<E, F> {
    extractor: E,
    change: F,
}

impl<E, F> Map<E, F> {
    pub(super) fn new(extractor: E, change: F) -> Self {
        Self { extractor, change }
    }
}

/// An extractor with a further check. See [`KeyExtractor::and_then`](crate::KeyExtractor::and_then).
#[derive(Debug, Clone)]
pub struct AndThen<E, F> {
    extractor: E,
    check: F,
}

impl<E, F> AndThen<E, F> {
    pub(super) fn new(extractor: E, check: F) -> Self {
        Self { extractor, check }
    }
}
