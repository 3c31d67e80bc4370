use crate::delivery::Position;

/// Prefix of the subprotocol by which a client asks to follow the log of its key.
const PROTOCOL: &str = "from.keywire.";

/// Place at which a client asks to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FollowFrom {
    /// After the last position that its page has handled.
    After(Position),
    /// At the end of the log.
    Now,
    /// After the last push that the user has seen on any device.
    Unread,
    /// An unreadable position. The page is told of a gap, since a damaged stored position must not lock the page out.
    Unreadable,
}

impl FollowFrom {
    /// The request among the subprotocols, if there is one.
    pub(crate) fn of<'a>(subprotocols: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut wishes = subprotocols.filter_map(|protocol| protocol.strip_prefix(PROTOCOL));
        let wish = wishes.next()?;
        Some(match wish {
            _ if wishes.next().is_some() => Self::Unreadable,
            "now" => Self::Now,
            "unread" => Self::Unread,
            position => position.parse().map_or(Self::Unreadable, Self::After),
        })
    }

    /// The kind and the position. Stored apart, they take less memory.
    pub(super) fn split(self) -> (Start, Position) {
        match self {
            Self::After(position) => (Start::After, position),
            Self::Now => (Start::Now, Position::BEGINNING),
            Self::Unread => (Start::Unread, Position::BEGINNING),
            Self::Unreadable => (Start::Unreadable, Position::BEGINNING),
        }
    }
}

/// A [`FollowFrom`] without its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    After,
    Now,
    Unread,
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subprotocol_asks_where_to_begin() {
        let of = |protocols: &[&'static str]| FollowFrom::of(protocols.iter().copied());
        assert_eq!(of(&["keywire.v1"]), None);
        assert_eq!(of(&["keywire.v1", "from.keywire.now"]), Some(FollowFrom::Now));
        assert_eq!(of(&["from.keywire.unread"]), Some(FollowFrom::Unread));
        let position = Position::new(41, 0x9f3c_ab12_d45e_6f70);
        assert_eq!(of(&["from.keywire.41.9f3cab12d45e6f70"]), Some(FollowFrom::After(position)));
        for wrong in
            [&["from.keywire."][..], &["from.keywire.x"], &["from.keywire.now", "from.keywire.unread"]]
        {
            assert_eq!(of(wrong), Some(FollowFrom::Unreadable), "{wrong:?}");
        }
    }
}
