//! Replaces `deflate` in builds without that feature. Nothing is negotiated, so the other functions are never needed.

use bytes::Bytes;
use http::HeaderMap;

use super::Violation;

pub(crate) fn negotiate(_: &HeaderMap) -> Option<&'static str> {
    None
}

pub(crate) fn compress(_: &[u8], _: usize, _: u8) -> Option<Bytes> {
    None
}

pub(super) fn inflate(_: &[u8], _: impl FnMut(&[u8]) -> Result<(), Violation>) -> Result<(), Violation> {
    Err(Violation::Deflate)
}
