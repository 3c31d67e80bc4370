use std::pin::pin;

use bytes::{Buf as _, BufMut as _};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;

use super::answer::Failure;
use crate::message::{Envelope, depth};

/// Reads a body of JSON. It takes no more memory than `limit`, and not before the bytes have arrived.
pub(super) async fn read<B: Body>(headers: &HeaderMap, body: B, limit: usize) -> Result<String, Failure> {
    if !is_json(headers) {
        let error = "content-type: must be application/json, without a content-encoding";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let too_large =
        || Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("body: must have at most {limit} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|len| len > limit as u64) {
        return Err(too_large());
    }
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::bad("body", "did not arrive in full"))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.remaining() > limit - bytes.len() {
            return Err(too_large());
        }
        bytes.put(data);
    }
    if !depth::within(&bytes, Envelope::MAX_DEPTH) {
        return Err(Failure::bad(
            "body",
            format_args!("must be nested at most {} deep", Envelope::MAX_DEPTH),
        ));
    }
    String::from_utf8(bytes).map_err(|_| Failure::bad("body", "must be UTF-8"))
}

/// A form of a page cannot send this type without asking first, and the answer to that is 401.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json") && !headers.contains_key(CONTENT_ENCODING)
}
