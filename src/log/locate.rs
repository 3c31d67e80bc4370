use super::GapKind;
use crate::delivery::Position;

/// Whether a log holds a position, so that reading can go on after it. `start` is the position before the oldest entry, `end`
/// that of the last. `tag_of` gives the tag of an entry in between.
///
/// # Errors
///
/// The gap that a reader must be told of.
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
        // Both, if there are no entries.
        _ if seq == end.seq() => Some(end.tag()),
        _ if seq > end.seq() => None,
        _ if seq == start.seq() => Some(start.tag()),
        _ => tag_of(seq),
    };
    if tag == Some(after.tag()) { Ok(()) } else { Err(GapKind::Reset) }
}
