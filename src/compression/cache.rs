use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Deflate;
use crate::websocket;

/// Length up to which frames are never compressed. Most frames are this short and would not shrink.
const SHORT: usize = 64;

/// The compressed form of a frame. It is made for the first session that needs it, and all clones of the frame share it. The inner
/// `None` means that the compressed form is not shorter.
#[derive(Clone)]
pub(crate) struct CompressedCache(Option<Arc<OnceLock<Option<Bytes>>>>);

impl CompressedCache {
    pub(crate) fn of(bytes: &Bytes) -> Self {
        Self((cfg!(feature = "deflate") && bytes.len() > SHORT).then(Arc::default))
    }

    /// The compressed form of `plain`, or `plain` itself if compression does not shorten it.
    pub(crate) fn get<'a>(&'a self, plain: &'a Bytes, deflate: Deflate) -> &'a Bytes {
        match &self.0 {
            Some(compressed) if plain.len() >= deflate.threshold => {
                let compress = || websocket::compress(plain, deflate.threshold, deflate.level);
                compressed.get_or_init(compress).as_ref().unwrap_or(plain)
            }
            _ => plain,
        }
    }
}
