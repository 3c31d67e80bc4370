use super::super::NatsError;
use super::super::headers::HeadersOut;
use super::super::jetstream::EXPECTED_LAST;
use super::kept::Kept;
use super::store::{Line, Store};
use crate::delivery::Position;
use crate::log::{GapKind, Limit, ReadFrom};

/// Other devices may move the position at the same time.
const ATTEMPTS: usize = 64;

impl Store {
    /// What was seen of a key, and its number in the stream.
    pub(super) async fn seen_of(&self, line: &Line) -> Result<Option<(u64, Position)>, NatsError> {
        let Some(stored) = self.seen.last(&line.seen).await? else { return Ok(None) };
        let position = str::from_utf8(&stored.payload).ok().and_then(|text| text.parse().ok());
        Ok(Some((stored.seq, position.unwrap_or_default())))
    }

    /// Moves what was seen forward, to a position that holds.
    pub(super) async fn see(&self, line: &Line, at: Position) -> Result<(), NatsError> {
        for _ in 0..ATTEMPTS {
            let (number, seen) = self.seen_of(line).await?.unwrap_or_default();
            let Some(last) = self.last(line).await? else { return Ok(()) };
            let is_back = at.seq() <= seen.seq();
            // A position of a log that is gone holds up nothing.
            if (is_back && self.holds(line, &last, seen).await?) || !self.holds(line, &last, at).await? {
                return Ok(());
            }
            let headers = HeadersOut::new().with(EXPECTED_LAST, number);
            match self.seen.put(&line.seen, &headers, &[at.to_string().as_bytes()]).await {
                Err(error) if error.is_wrong_last() => {}
                other => return other.map(drop),
            }
        }
        Err(NatsError::Protocol("what was seen of a key changes all the time"))
    }

    /// Whether the log has this position. What was removed from it does not count.
    async fn holds(&self, line: &Line, last: &Kept, at: Position) -> Result<bool, NatsError> {
        if at.seq() >= last.head.at.seq() {
            return Ok(at == last.head.at);
        }
        let page = self.read(line, ReadFrom::After(at), Limit { entries: 1, bytes: 0 }).await?;
        Ok(page.gap.is_none_or(|gap| gap != GapKind::Reset))
    }
}
