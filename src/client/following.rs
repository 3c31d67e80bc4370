//! Follows the log of kept pushes.

use serde::Deserialize;

use super::Event;
use crate::delivery::Position;
use crate::log::GapKind;
use crate::message::{Flag, Push};

/// Position at which a client begins to follow the log of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Follow {
    /// After this position, the last one that the application has handled.
    After(Position),
    /// At the end of the log: only pushes that are kept from now on.
    Now,
    /// After the last push that the user has seen on any device, see [`Client::seen`](super::Client::seen).
    Unread,
}

/// Progress of a client in the log.
pub(super) struct Following {
    start: Follow,
    at: Option<Position>,
}

impl Following {
    pub(super) fn new(start: Follow) -> Self {
        Self { start, at: None }
    }

    /// The subprotocol that asks for the pushes after the current position.
    pub(super) fn protocol(&self) -> String {
        let from = match (self.at, self.start) {
            (Some(at), _) | (None, Follow::After(at)) => at.to_string(),
            (None, Follow::Now) => "now".into(),
            (None, Follow::Unread) => "unread".into(),
        };
        format!("from.keywire.{from}")
    }

    /// Whether the position is still to come, and not with this message: the client begins at the end of the log.
    pub(super) fn seeks(&self, text: &str) -> bool {
        matches!((self.at, self.start), (None, Follow::Now)) && !text.contains(r#""flag":"kw:from""#)
    }

    /// Handles a push of keywire's own. A gap becomes an event.
    pub(super) fn hear(&mut self, push: &Push) -> Option<Event> {
        #[derive(Deserialize)]
        struct Word {
            at: Position,
            #[serde(alias = "why")]
            gap: Option<GapKind>,
        }
        let flag = push.flag.as_ref()?;
        if *flag != Flag::FROM && *flag != Flag::GAP {
            return None;
        }
        let Word { at, gap } = push.data.as_ref()?.parse().ok()?;
        self.at = Some(at);
        gap.map(|why| Event::Gap { why, at })
    }

    /// Handles a push of the application. `None`: the kept push was already delivered.
    pub(super) fn place(&mut self, text: &str, push: Push) -> Option<Event> {
        #[derive(Deserialize)]
        struct Place {
            at: Position,
            time: u64,
        }
        let Ok(Place { at, time }) = serde_json::from_str(text) else { return Some(Event::Push(push)) };
        if self.at.is_some_and(|known| at.seq() <= known.seq()) {
            return None;
        }
        self.at = Some(at);
        Some(Event::Kept { push, at, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(following: &mut Following, seq: u64) -> bool {
        let text = format!(r#"{{"code":"00","msg":"","at":"{seq}.000000000000000a","time":1}}"#);
        matches!(following.place(&text, Push::message("")), Some(Event::Kept { .. }))
    }

    #[test]
    fn a_client_goes_on_where_it_was_and_takes_nothing_twice() {
        let mut following = Following::new(Follow::Now);
        assert_eq!(following.protocol(), "from.keywire.now");
        let word = |json: &str| serde_json::from_str::<Push>(json).unwrap();
        let from = word(
            r#"{"code":"00","msg":"","flag":"kw:from","data":{"at":"4.000000000000000a","to":"5.000000000000000a","gap":null}}"#,
        );
        assert!(following.hear(&from).is_none());
        assert_eq!([4, 5, 5, 6].map(|seq| kept(&mut following, seq)), [false, true, false, true]);
        assert_eq!(following.protocol(), "from.keywire.6.000000000000000a");
        let gap = word(
            r#"{"code":"00","msg":"","flag":"kw:gap","data":{"why":"reset","at":"1.000000000000000b"}}"#,
        );
        assert!(matches!(following.hear(&gap), Some(Event::Gap { why: GapKind::Reset, .. })));
        assert_eq!([1, 2].map(|seq| kept(&mut following, seq)), [false, true]);
        assert!(matches!(following.place("{}", Push::message("")), Some(Event::Push(_))));
    }
}
