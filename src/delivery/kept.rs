use serde::{Deserialize, Serialize};

use super::Position;

/// Whether a push is in the log of its key, as [`Delivery::kept`](super::Delivery::kept).
///
/// As JSON: `{"state":"at","at":"41.9f3cab12d45e6f70"}`, where the states are `no`, `at`, `again`, `failed` and `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", content = "at", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kept {
    /// Not in a log: the push is not [`kept`](crate::Push::kept), the hub has no log, or the recipients are not one key.
    #[default]
    No,
    /// In the log, at this position.
    At(Position),
    /// In the log already, at this position: a push with the same [`once`](crate::message::KeptPush::once) was sent before.
    /// Nothing was sent again.
    Again(Position),
    /// Not in the log, because the log failed. No session got the push.
    Failed,
    /// The log gave no answer in time, so the push may be in the log. No session got it yet. A retry with the same
    /// [`once`](crate::message::KeptPush::once) does not send it twice.
    Unknown,
}

impl Kept {
    /// The position in the log, if the push is there.
    #[must_use]
    pub fn at(self) -> Option<Position> {
        match self {
            Self::At(at) | Self::Again(at) => Some(at),
            Self::No | Self::Failed | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_a_form_in_json() {
        let at = Position::new(41, 0x9f3c_ab12_d45e_6f70);
        for (kept, json) in [
            (Kept::No, r#"{"state":"no"}"#),
            (Kept::At(at), r#"{"state":"at","at":"41.9f3cab12d45e6f70"}"#),
            (Kept::Again(at), r#"{"state":"again","at":"41.9f3cab12d45e6f70"}"#),
            (Kept::Failed, r#"{"state":"failed"}"#),
            (Kept::Unknown, r#"{"state":"unknown"}"#),
        ] {
            assert_eq!(serde_json::to_string(&kept).unwrap(), json);
            assert_eq!(serde_json::from_str::<Kept>(json).unwrap(), kept);
        }
    }
}
