//! What a frame is for sessions that compress.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::compression::Deflate;
use crate::websocket;

/// Shorter frames have none: there is nothing to be gained, and most frames are short.
const SHORT: usize = 64;

/// The compressed form of a frame, made for the first session that wants it and shared by all clones of the frame.
/// `None` in the middle: it is not any shorter.
#[derive(Clone)]
pub(super) struct CompressedCache(Option<Arc<OnceLock<Option<Bytes>>>>);

impl CompressedCache {
    pub(super) fn of(bytes: &Bytes) -> Self {
        Self((cfg!(feature = "deflate") && bytes.len() > SHORT).then(Arc::default))
    }

    /// The compressed form of `plain`, or `plain` itself where that is as good.
    pub(super) fn get<'a>(&'a self, plain: &'a Bytes, deflate: Deflate) -> &'a Bytes {
        match &self.0 {
            Some(cache) if plain.len() >= deflate.threshold => {
                let compress = || websocket::compress(plain, deflate.threshold, deflate.level);
                cache.get_or_init(compress).as_ref().unwrap_or(plain)
            }
            _ => plain,
        }
    }
}
