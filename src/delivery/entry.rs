use serde::{Deserialize, Serialize};

use super::Position;
use super::position::write_decimal;
use crate::frame::Frame;
use crate::text::{Text, utf8};

/// A kept push in the log of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The position of this entry.
    pub at: Position,
    /// The position of the entry before it, also if that is not in the log any more.
    pub prev: Position,
    /// The time at which it was appended, in milliseconds since 1970-01-01 UTC, by the log's clock. For people: order and
    /// gaps never depend on it.
    pub time: u64,
    /// The JSON of the push.
    pub push: Text,
}

impl Entry {
    /// The frame for a session that does not follow the log: the push like any other.
    pub(crate) fn plain(&self) -> Frame {
        Frame::text(&self.push)
    }

    /// The frame for a session that follows the log: the push with the fields `at` and `time`.
    pub(crate) fn followed(&self) -> Frame {
        Frame::text_of(self.push.len() + ROOM, |json| self.write_json(json))
    }

    /// The JSON of the push with the fields `at` and `time`.
    pub(crate) fn to_json(&self) -> String {
        let mut json = Vec::with_capacity(self.push.len() + ROOM);
        self.write_json(&mut json);
        utf8(json)
    }

    /// Appends the JSON of the push with the fields `at` and `time`.
    pub(crate) fn write_json(&self, json: &mut Vec<u8>) {
        // The text is a push's: an object that is not empty, since it has a code.
        let open = self.push.strip_suffix('}').unwrap_or(&self.push);
        json.extend_from_slice(open.as_bytes());
        json.extend_from_slice(br#","at":""#);
        self.at.write(json);
        json.extend_from_slice(br#"","time":"#);
        write_decimal(json, self.time);
        json.push(b'}');
    }
}

/// Takes the fields `at` and `time` off the JSON of a push, for the test kit. `None` if it does not end with them.
#[cfg(feature = "testing")]
pub(crate) fn split_place(json: &str) -> Option<(String, Position)> {
    let (push, place) = json.strip_suffix('}')?.rsplit_once(r#","at":""#)?;
    let (at, time) = place.split_once(r#"","time":"#)?;
    time.parse::<u64>().ok()?;
    Some((format!("{push}}}"), at.parse().ok()?))
}

/// The longest two fields.
const ROOM: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Push;

    #[test]
    fn a_follower_gets_the_position_and_the_time() {
        let at = Position::new(2, 0xab);
        let push = Push::message("a}").to_json();
        let entry = Entry { at, prev: Position::new(1, 1), time: 12, push: Text::from(push.as_str()) };
        assert_eq!(entry.to_json(), r#"{"code":"00","msg":"a}","at":"2.00000000000000ab","time":12}"#);
        assert_eq!(entry.plain(), Frame::push(&Push::message("a}")));
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
        #[cfg(feature = "testing")]
        {
            assert_eq!(split_place(&entry.to_json()), Some((push, at)));
            let data = Push::data(serde_json::json!({ "at": at, "time": 12 })).to_json();
            assert_eq!(split_place(&data), None, "{data}");
        }
    }
}
