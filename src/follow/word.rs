use serde::Serialize;

use crate::delivery::Position;
use crate::log::GapKind;
use crate::message::{Code, Flag, Push};

/// Notice to a follower besides the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The first notice: the position at which following begins, and the end of the log at that time.
    From { at: Position, to: Position, gap: Option<GapKind> },
    /// Entries before the next one are missing and no longer available. Following continues after `at`.
    Gap { at: Position, why: GapKind },
}

impl Word {
    /// The reason why entries are missing, if any are.
    pub(crate) fn gap(self) -> Option<GapKind> {
        match self {
            Self::From { gap, .. } => gap,
            Self::Gap { why, .. } => Some(why),
        }
    }

    pub(crate) fn push(self) -> Push {
        #[derive(Serialize)]
        struct From {
            at: Position,
            to: Position,
            gap: Option<&'static str>,
        }
        #[derive(Serialize)]
        struct Gap {
            why: &'static str,
            at: Position,
        }
        let push = Push::new(Code::DONE, "");
        match self {
            Self::From { at, to, gap } => {
                push.with_flag(Flag::FROM).with_data(From { at, to, gap: gap.map(GapKind::as_str) })
            }
            Self::Gap { at, why } => push.with_flag(Flag::GAP).with_data(Gap { why: why.as_str(), at }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_pushes_of_keywires_own_flags() {
        let (at, to) = (Position::new(1, 1), Position::new(2, 2));
        let json = |word: Word| word.push().to_json();
        assert_eq!(
            json(Word::From { at, to, gap: None }),
            r#"{"code":"00","msg":"","data":{"at":"1.0000000000000001","to":"2.0000000000000002","gap":null},"flag":"kw:from"}"#,
        );
        assert_eq!(
            json(Word::Gap { at, why: GapKind::Trimmed }),
            r#"{"code":"00","msg":"","data":{"why":"trimmed","at":"1.0000000000000001"},"flag":"kw:gap"}"#,
        );
    }
}
