use bytes::BytesMut;

use super::wire::decode;

/// Checks that what a server sends is decoded the same in parts of any size. The first byte chooses the size.
pub fn wire(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    assert_eq!(in_parts(bytes, usize::from(*size).max(1)), in_parts(bytes, bytes.len().max(1)));
}

/// All operations, and whether the end is malformed, of bytes that arrive in parts of this size.
pub(super) fn in_parts(bytes: &[u8], part: usize) -> (Vec<String>, bool) {
    let (mut buffer, mut ops) = (BytesMut::new(), Vec::new());
    for part in bytes.chunks(part) {
        buffer.extend_from_slice(part);
        loop {
            match decode(&mut buffer) {
                Ok(Some(op)) => ops.push(format!("{op:?}")),
                Ok(None) => break,
                Err(_) => return (ops, true),
            }
        }
    }
    (ops, false)
}
