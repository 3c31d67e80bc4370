use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Code, Flag, Json, JsonError, MessageId};
use crate::group::Group;
use crate::key::Key;
use crate::text::utf8;

/// A message from the server to a page.
///
/// On the wire: `{"code":"00","msg":"saved","data":{"any":"json"},"flag":"inform","sender":"bob","id":7,"group":"room-7"}`.
/// `code` and `msg` are always present. The other fields are present only if they have a value.
///
/// ```
/// use keywire::Push;
///
/// let push = Push::message("saved").with_flag("document").with_data([1, 2]);
/// assert_eq!(push.to_json(), r#"{"code":"00","msg":"saved","data":[1,2],"flag":"document"}"#);
/// ```
///
/// Two pushes are equal if their JSON is equal byte by byte: `[1,2]` differs from `[1, 2]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Push {
    /// The kind of message, by which the page selects what to do.
    #[serde(default = "done")]
    pub code: Code,
    /// Text for a person. May be empty.
    #[serde(default)]
    pub msg: Cow<'static, str>,
    /// Data for the page.
    #[serde(default)]
    pub data: Option<Json>,
    /// The flag, which selects the page's handler.
    #[serde(default)]
    pub flag: Option<Flag>,
    /// The user who caused the push: always a key that the server extracted, never a client's claim. It is not read from JSON.
    #[serde(skip)]
    pub sender: Option<Key>,
    /// The id of the message that this push answers.
    #[serde(default)]
    pub id: Option<MessageId>,
    /// The group that the push was sent to. Sending to a group sets it, so that the page knows which of its groups this is for. It
    /// is not read from JSON.
    #[serde(skip)]
    pub group: Option<Group>,
}

// What stands in front of each value.
const CODE: &[u8] = br#"{"code":"#;
const MSG: &[u8] = br#","msg":"#;
const DATA: &[u8] = br#","data":"#;
const FLAG: &[u8] = br#","flag":"#;
const SENDER: &[u8] = br#","sender":"#;
const ID: &[u8] = br#","id":"#;
const GROUP: &[u8] = br#","group":"#;

/// The last field of a request.
const ASK: &str = r#","ask":true}"#;

fn done() -> Code {
    Code::DONE
}

impl Push {
    /// A push with this code and message.
    pub fn new(code: impl Into<Code>, msg: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.into(),
            msg: msg.into(),
            data: None,
            flag: None,
            sender: None,
            id: None,
            group: None,
        }
    }

    /// A push with a message for a person: code `00`.
    pub fn message(msg: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::DONE, msg)
    }

    /// A push with data for the page and an empty message: code `01`.
    ///
    /// # Panics
    ///
    /// If `data` cannot be JSON, see [`Json::new`]. [`Push::try_data`] returns an error instead.
    pub fn data(data: impl Serialize) -> Self {
        Self::new(Code::DATA, "").with_data(data)
    }

    /// [`Push::data`] for values that may not be representable as JSON.
    ///
    /// # Errors
    ///
    /// If `data` cannot be JSON, see [`Json::new`].
    pub fn try_data(data: impl Serialize) -> Result<Self, JsonError> {
        Ok(Self::new(Code::DATA, "").with_json(Json::new(&data)?))
    }

    /// The same push with data.
    ///
    /// # Panics
    ///
    /// If `data` cannot be JSON, see [`Json::new`].
    #[must_use]
    pub fn with_data(self, data: impl Serialize) -> Self {
        match Json::new(&data) {
            Ok(json) => self.with_json(json),
            Err(error) => panic!("data of a push must be JSON: {error}"),
        }
    }

    /// The same push with data that is already JSON, for example the body of an envelope.
    #[must_use]
    pub fn with_json(mut self, data: Json) -> Self {
        self.data = Some(data);
        self
    }

    /// The same push with a flag.
    #[must_use]
    pub fn with_flag(mut self, flag: impl Into<Flag>) -> Self {
        self.flag = Some(flag.into());
        self
    }

    /// The same push with a sender. Take the key from an envelope or a session, since both have the extracted key.
    #[must_use]
    pub fn with_sender(mut self, sender: &Key) -> Self {
        self.sender = Some(sender.clone());
        self
    }

    /// The same push as the answer to the message with this id. keywire itself sets the id of replies.
    #[must_use]
    pub fn with_id(mut self, id: MessageId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same push with a group. Sending to a group sets it by itself: this is for a push that goes to a part of the group in
    /// another way.
    #[must_use]
    pub fn with_group(mut self, group: &Group) -> Self {
        self.group = Some(group.clone());
        self
    }

    /// The JSON that goes over the wire.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = Vec::with_capacity(self.plain_len());
        self.write(&mut text);
        utf8(text)
    }

    /// Parses a push that the server wrote, also as a request, with its sender and group. `None`: `text` is not such a push.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if let Some(push) = text.strip_suffix(ASK) {
            return Self::read(&format!("{push}}}"));
        }
        let Written { code, msg, data, flag, sender, id, group } = serde_json::from_str(text).ok()?;
        let sender = sender.map(Key::new).transpose().ok()?;
        let group = group.map(Group::new).transpose().ok()?;
        let push = Self { code, msg: msg.into(), data, flag, sender, id, group };
        (push.to_json() == text).then_some(push)
    }

    /// Appends the JSON to `out`.
    ///
    /// It does not use serde, which would parse the JSON in `data` again.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(CODE);
        write_text(out, self.code.as_str());
        out.extend_from_slice(MSG);
        write_text(out, &self.msg);
        if let Some(data) = &self.data {
            out.extend_from_slice(DATA);
            out.extend_from_slice(data.as_str().as_bytes());
        }
        if let Some(flag) = &self.flag {
            out.extend_from_slice(FLAG);
            write_text(out, flag.as_str());
        }
        if let Some(sender) = &self.sender {
            out.extend_from_slice(SENDER);
            write_text(out, sender.as_str());
        }
        if let Some(id) = &self.id {
            out.extend_from_slice(ID);
            write_value(out, id);
        }
        if let Some(group) = &self.group {
            write_group(out, group);
        }
        out.push(b'}');
    }

    /// Length of what [`Push::write_request`] appends, as [`Push::plain_len`].
    pub(crate) fn plain_request_len(&self) -> usize {
        self.plain_len() - 1 + ASK.len()
    }

    /// Appends the JSON of a push that the client must answer.
    pub(crate) fn write_request(&self, out: &mut Vec<u8>) {
        self.write(out);
        out.pop();
        out.extend_from_slice(ASK.as_bytes());
    }

    /// Adds the field `group` to the JSON of a push that does not have it. It is the last field.
    pub(crate) fn add_group(json: &[u8], group: &Group) -> Vec<u8> {
        let mut out = Vec::with_capacity(json.len() + group.as_str().len() + 16);
        out.extend_from_slice(json.strip_suffix(b"}").unwrap_or(json));
        write_group(&mut out, group);
        out.push(b'}');
        out
    }

    /// Length of the JSON, if no string in it needs an escape.
    pub(crate) fn plain_len(&self) -> usize {
        let text = |name: &[u8], text: Option<&str>| text.map_or(0, |text| name.len() + text.len() + 2);
        text(CODE, Some(self.code.as_str()))
            + text(MSG, Some(&self.msg))
            + self.data.as_ref().map_or(0, |data| DATA.len() + data.as_str().len())
            + text(FLAG, self.flag.as_ref().map(Flag::as_str))
            + text(SENDER, self.sender.as_ref().map(Key::as_str))
            + self.id.as_ref().map_or(0, |id| ID.len() + id.plain_len())
            + text(GROUP, self.group.as_ref().map(Group::as_str))
            + 1
    }
}

/// The JSON of a push. Unlike `Push` it keeps the sender and the group, and data that is `null`.
#[derive(Deserialize)]
struct Written {
    code: Code,
    msg: String,
    #[serde(default, deserialize_with = "present")]
    data: Option<Json>,
    flag: Option<Flag>,
    sender: Option<String>,
    id: Option<MessageId>,
    group: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(json).map(Some)
}

fn write_group(out: &mut Vec<u8>, group: &Group) {
    out.extend_from_slice(GROUP);
    write_text(out, group.as_str());
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // RFC 8259, section 7. Hardly any string needs an escape, so the whole string is checked with vector instructions first.
    let is_escaped = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
        return write_value(out, text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn write_value(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Cannot fail: strings and integers are always valid JSON, and writing to a `Vec` does not fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_msg_are_always_there_and_nothing_else_is() {
        assert_eq!(Push::message("").to_json(), r#"{"code":"00","msg":""}"#);
    }

    #[test]
    fn all_fields_in_their_order_and_escaped() {
        let push = Push::new("x\"", "line\n")
            .with_json(Json::NULL)
            .with_flag("inform")
            .with_sender(&Key::new("zoë\"").unwrap())
            .with_id(MessageId::Text("\\".into()))
            .with_group(&Group::new("g\"").unwrap());
        assert_eq!(
            push.to_json(),
            r#"{"code":"x\"","msg":"line\n","data":null,"flag":"inform","sender":"zoë\"","id":"\\","group":"g\""}"#
        );
        assert_eq!(Push::read(&push.to_json()), Some(push));
    }

    #[test]
    fn the_length_is_known_before_it_is_written() {
        let push = Push::new("x", "hello").with_json(Json::NULL).with_flag("inform");
        let push = push.with_sender(&Key::new("zoë").unwrap()).with_group(&Group::new("g").unwrap());
        for id in [0, 9, 10, 99, 100, i64::MAX, -1, -10, i64::MIN].map(MessageId::Number) {
            for push in [push.clone().with_id(id.clone()), Push::message("").with_id(id)] {
                assert_eq!(push.plain_len(), push.to_json().len(), "{push:?}");
            }
        }
        for push in [push.clone(), Push::message(""), push.with_id(MessageId::Text("seven".into()))] {
            assert_eq!(push.plain_len(), push.to_json().len(), "{push:?}");
            let mut request = Vec::new();
            push.write_request(&mut request);
            assert_eq!(push.plain_request_len(), request.len());
        }
    }

    #[test]
    fn every_text_is_written_as_serde_json_does() {
        for character in (0..=0x2FF).filter_map(char::from_u32) {
            let text = format!("a text that is long enough {character} for several bytes at a time");
            let mut written = Vec::new();
            write_text(&mut written, &text);
            assert_eq!(written, serde_json::to_vec(&text).unwrap(), "{character:?}");
        }
    }

    #[test]
    fn is_read_from_what_a_backend_posts_but_not_its_sender_and_group() {
        let push: Push =
            serde_json::from_str(r#"{"msg":"hi","data":[1],"sender":"eve","group":"g"}"#).unwrap();
        assert_eq!(push.to_json(), r#"{"code":"00","msg":"hi","data":[1]}"#);
    }

    #[test]
    #[should_panic(expected = "must be JSON")]
    fn data_that_cannot_be_json_is_a_programming_error() {
        let _ = Push::data(std::collections::HashMap::from([((1, 2), 3)]));
    }
}
