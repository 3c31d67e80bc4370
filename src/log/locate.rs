use super::GapKind;
use crate::delivery::Position;

/// Whether a log holds a position, so that reading can continue after it. `start` is the position before the oldest entry, and `end`
/// is the position of the last entry. `tag_of` returns the tag of an entry in between.
///
/// # Errors
///
/// The gap that the reader gets.
pub(super) fn locate(
    after: Position,
    start: Position,
    end: Position,
    tag_of: impl FnOnce(u64) -> Option<u64>,
) -> Result<(), GapKind> {
    let seq = after.seq();
    if seq < start.seq() {
        return Err(GapKind::Trimmed);
    }
    let tag = match seq {
        // `start` and `end` are equal if there are no entries.
        _ if seq == end.seq() => Some(end.tag()),
        _ if seq > end.seq() => None,
        _ if seq == start.seq() => Some(start.tag()),
        _ => tag_of(seq),
    };
    if tag == Some(after.tag()) { Ok(()) } else { Err(GapKind::Reset) }
}
