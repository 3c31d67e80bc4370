use serde::Serialize;

use super::SendError;
use crate::message::{Flag, Json, JsonError, MessageId};

/// A message to a server.
///
/// ```
/// use keywire::client::Message;
///
/// let typing = Message::new("typing", true).to("bob");
/// # let _ = typing;
/// ```
#[derive(Debug)]
pub struct Message {
    flag: Flag,
    reception: Option<String>,
    body: Result<Json, JsonError>,
}

impl Message {
    /// A message with any flag.
    #[must_use]
    pub fn new(flag: impl Into<Flag>, body: impl Serialize) -> Self {
        Self { flag: flag.into(), reception: None, body: Json::new(&body) }
    }

    /// A `command`: do something.
    #[must_use]
    pub fn command(body: impl Serialize) -> Self {
        Self::new(Flag::COMMAND, body)
    }

    /// An `inform`: tell another user.
    #[must_use]
    pub fn inform(reception: impl Into<String>, body: impl Serialize) -> Self {
        Self::new(Flag::INFORM, body).to(reception)
    }

    /// The same message for this key.
    #[must_use]
    pub fn to(mut self, reception: impl Into<String>) -> Self {
        self.reception = Some(reception.into());
        self
    }

    /// Returns the message if its body is JSON, else the error.
    pub(super) fn checked(self) -> Result<Self, SendError> {
        let Self { flag, reception, body } = self;
        Ok(Self { flag, reception, body: Ok(body?) })
    }

    /// The JSON of the message on the wire. Only a [`checked`](Self::checked) message is sent.
    pub(super) fn to_json(&self, id: Option<&MessageId>) -> String {
        let body = self.body.as_ref().ok();
        let json = JsonMessage { flag: &self.flag, reception: self.reception.as_deref(), body, id };
        // Cannot fail: strings, JSON and integers are always valid JSON.
        serde_json::to_string(&json).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct JsonMessage<'a> {
    flag: &'a Flag,
    #[serde(skip_serializing_if = "Option::is_none")]
    reception: Option<&'a str>,
    body: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a MessageId>,
}
