use bytes::BytesMut;

use super::resp::{Malformed, Value, decode};

/// Checks that what a server sends is decoded the same in parts of any size. The first byte chooses the size.
pub fn resp(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    assert_eq!(all(bytes, usize::from(*size).max(1)), all(bytes, bytes.len().max(1)));
}

/// All values, and whether the end is malformed, of bytes that arrive in parts of this size.
pub(super) fn all(bytes: &[u8], part: usize) -> (Vec<Value>, bool) {
    let (mut input, mut values) = (BytesMut::new(), Vec::new());
    for part in bytes.chunks(part) {
        input.extend_from_slice(part);
        loop {
            match decode(&mut input) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(Malformed) => return (values, true),
            }
        }
    }
    (values, false)
}
