use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Flag, Json, JsonError, MessageId, depth};
use crate::excerpt::Excerpt;
use crate::key::Key;
use crate::text::Text;

/// A message from a client, as a [`MessageHandler`](crate::MessageHandler) gets it.
///
/// On the wire: `{"flag": "inform", "reception": "bob", "body": {"any": "json"}, "id": 7}`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Envelope {
    /// The sender: the key that the server extracted. A `sender` in the client's JSON is ignored.
    pub sender: Key,
    /// The recipient that the client names. `None`: no particular recipient.
    pub reception: Option<Key>,
    /// The flag, which selects the handler. It comes from the client: escape an unknown flag before you show it.
    pub flag: Flag,
    /// The content as raw JSON. `null` if the client sent none.
    pub body: Json,
    /// The client's id of this message. keywire copies it into the reply.
    pub id: Option<MessageId>,
}

impl Envelope {
    /// Limit for nested arrays and objects. The envelope itself counts as one.
    pub const MAX_DEPTH: usize = 64;

    /// A message from `sender` without recipient and id. For tests, and for handlers that call other handlers.
    ///
    /// ```
    /// use keywire::message::{Flag, MessageId};
    /// use keywire::{Envelope, Key};
    ///
    /// let envelope = Envelope::new(Key::new("alice")?, Flag::INFORM, ["any", "JSON"])
    ///     .with_reception(Key::new("bob")?)
    ///     .with_id(MessageId::Number(7));
    /// assert_eq!(envelope.body.as_str(), r#"["any","JSON"]"#);
    /// # Ok::<(), keywire::auth::InvalidKey>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `body` cannot be JSON. See [`Json::new`].
    pub fn new(sender: impl Into<Key>, flag: impl Into<Flag>, body: impl Serialize) -> Self {
        let body =
            Json::new(&body).unwrap_or_else(|error| panic!("body of an envelope must be JSON: {error}"));
        Self { sender: sender.into(), reception: None, flag: flag.into(), body, id: None }
    }

    /// The same message for `reception`.
    #[must_use]
    pub fn with_reception(mut self, reception: impl Into<Key>) -> Self {
        self.reception = Some(reception.into());
        self
    }

    /// The same message with an id. The reply gets the same id.
    #[must_use]
    pub fn with_id(mut self, id: MessageId) -> Self {
        self.id = Some(id);
        self
    }

    /// Parses the body as a `T`.
    ///
    /// # Errors
    ///
    /// If the body is not a `T`. A handler returns the error by `?`: the client gets code `40` and the reason.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, InvalidBody> {
        self.body.parse().map_err(InvalidBody)
    }

    /// Parses a text frame. The body stays a slice of the frame.
    pub(crate) fn read(text: &Text, sender: &Key) -> Result<Self, Malformed> {
        let malformed = |reason, id| Malformed { reason, id };
        const NO_ENVELOPE: &str = "not an envelope: an object with a flag";
        // serde would also accept an array and read it field by field.
        if !text.trim_ascii_start().starts_with('{') {
            let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
            return Err(malformed(if is_json { NO_ENVELOPE } else { "not JSON" }, None));
        }
        let fields: RawEnvelope<'_> = serde_json::from_str(text)
            .map_err(|error| malformed(if error.is_data() { NO_ENVELOPE } else { "not JSON" }, None))?;

        let (id, bad_id) = match fields.id.map(|raw| serde_json::from_str::<MessageId>(raw.get())) {
            None => (None, false),
            Some(Ok(id)) => (Some(id), false),
            Some(Err(_)) => (None, true),
        };
        if bad_id {
            return Err(malformed(
                "id: not a string of at most 64 bytes or an integer of at most 2^53 - 1",
                None,
            ));
        }
        if !depth::within(text.as_bytes(), Self::MAX_DEPTH) {
            return Err(malformed("nested deeper than 64", id));
        }
        let Some(raw) = fields.flag else {
            return Err(malformed("flag missing", id));
        };
        let Ok(flag) = serde_json::from_str::<Flag>(raw.get()) else {
            return Err(malformed("flag: not a string", id));
        };
        let reception = match fields.reception.map(|raw| serde_json::from_str::<Unescaped<'_>>(raw.get())) {
            None => None,
            Some(Ok(Unescaped(key))) if key.is_empty() => None,
            Some(Ok(Unescaped(key))) => match Key::new(key) {
                Ok(key) => Some(key),
                Err(_) => return Err(malformed("reception: not a key", id)),
            },
            Some(Err(_)) => return Err(malformed("reception: not a string", id)),
        };
        let body = match fields.body {
            None => Json::NULL,
            Some(raw) => Json::trusted(text.shared().slice_ref(raw.get())),
        };
        Ok(Self { sender: sender.clone(), reception, flag, body, id })
    }
}

/// The body of an [`Envelope`] is not of the type that the handler takes. This is the client's mistake: in a handler, `?` answers
/// with code `40` and this reason.
#[derive(Debug, thiserror::Error)]
#[error("body: {}", Excerpt(&.0.to_string()))]
pub struct InvalidBody(
    /// Its text may quote the body, which may be long.
    JsonError,
);

/// A message is not an [`Envelope`]. The error has the message's id, if it is readable, so that the client knows which message was
/// wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct Malformed {
    /// The reason, for the developer of the client.
    pub reason: &'static str,
    /// The id of the malformed message.
    pub id: Option<MessageId>,
}

/// The fields as raw JSON, so that a wrong type in one field does not hide the others. A repeated field is an error.
#[derive(Deserialize)]
struct RawEnvelope<'a> {
    #[serde(borrow)]
    flag: Option<&'a RawValue>,
    #[serde(borrow)]
    reception: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(rename = "sender")]
    _sender: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Unescaped<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Envelope, Malformed> {
        Envelope::read(&Text::from(text), &Key::new("alice").unwrap())
    }

    fn reason(text: &str) -> (&'static str, Option<MessageId>) {
        let malformed = read(text).expect_err(text);
        (malformed.reason, malformed.id)
    }

    #[test]
    fn reads_every_field() {
        let envelope =
            read(r#"{"sender":"eve","reception":"bob","body":{"a":[1, 2]},"flag":"inform","id":7,"more":1}"#)
                .unwrap();
        assert_eq!(envelope.sender.as_str(), "alice");
        assert_eq!(envelope.reception.unwrap().as_str(), "bob");
        assert_eq!(envelope.body.as_str(), r#"{"a":[1, 2]}"#);
        assert_eq!(envelope.flag, Flag::INFORM);
        assert_eq!(envelope.id, Some(MessageId::Number(7)));
    }

    #[test]
    fn a_made_one_is_as_a_read_one() {
        let key = |key| Key::new(key).unwrap();
        let made = Envelope::new(key("alice"), "inform", [1, 2])
            .with_reception(key("bob"))
            .with_id(MessageId::Number(7));
        let read = read(r#"{"flag":"inform","reception":"bob","body":[1,2],"id":7}"#).unwrap();
        assert_eq!(format!("{made:?}"), format!("{read:?}"));
        let bare = Envelope::new(key("alice"), Flag::COMMAND, ());
        assert_eq!((bare.reception, bare.id), (None, None));
        assert!(bare.body.is_null());
    }

    #[test]
    fn what_is_absent_null_or_empty_is_nothing() {
        for text in [
            r#"{"flag":"x"}"#,
            r#"{"flag":"x","reception":null,"body":null,"id":null,"sender":null}"#,
            r#"{"flag":"x","reception":"","sender":5}"#,
        ] {
            let envelope = read(text).unwrap();
            assert_eq!((envelope.reception, envelope.id), (None, None), "{text}");
            assert!(envelope.body.is_null());
        }
    }

    #[test]
    fn an_escaped_flag_and_key_are_read() {
        let envelope = read(r#"{"flag":"\u0063ommand","reception":"b\u006fb"}"#).unwrap();
        assert_eq!(envelope.flag, Flag::COMMAND);
        assert_eq!(envelope.reception.unwrap().as_str(), "bob");
    }

    #[test]
    fn says_what_is_wrong_and_whose_message_it_was() {
        let seven = Some(MessageId::Number(7));
        assert_eq!(reason("{"), ("not JSON", None));
        assert_eq!(reason(""), ("not JSON", None));
        assert_eq!(reason(r#"{"flag":"x"} more"#), ("not JSON", None));
        assert_eq!(reason("[1]"), ("not an envelope: an object with a flag", None));
        assert_eq!(reason("[1, 2, 3, 4, 5, 6]"), reason("[1]"));
        assert_eq!(reason("[1"), ("not JSON", None));
        assert_eq!(reason(r#" ["command",null,null,7,null]"#), reason("[1]"));
        assert_eq!(reason("\"command\"").1, None);
        assert_eq!(reason(r#"{"id":7}"#), ("flag missing", seven.clone()));
        assert_eq!(reason(r#"{"id":7,"flag":null}"#), ("flag missing", seven.clone()));
        assert_eq!(reason(r#"{"id":7,"flag":[]}"#), ("flag: not a string", seven.clone()));
        assert_eq!(
            reason(r#"{"flag":"x","reception":{},"id":7}"#),
            ("reception: not a string", seven.clone())
        );
        assert_eq!(reason(r#"{"flag":"x","reception":"\u0000","id":7}"#), ("reception: not a key", seven));
        assert!(reason(r#"{"flag":"x","id":[]}"#).0.starts_with("id:"));
        assert!(read(r#"{"flag":"x","flag":"y"}"#).is_err());
    }

    #[test]
    fn nesting_is_bounded_wherever_it_stands() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&format!(r#"{{"flag":"x","body":{}}}"#, nested(63))).is_ok());
        let deep = reason(&format!(r#"{{"flag":"x","id":7,"body":{}}}"#, nested(64)));
        assert_eq!(deep, ("nested deeper than 64", Some(MessageId::Number(7))));
        assert!(read(&format!(r#"{{"flag":"x","other":{}}}"#, nested(30_000))).is_err());
        assert!(read(&format!(r#"{{"flag":"x","sender":{}}}"#, nested(30_000))).is_err());
    }
}
