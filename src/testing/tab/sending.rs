//! What a page sends.

use serde::Serialize;

use super::Tab;
use super::ids::BARRIER;
use super::patience::within;
use crate::key::{InvalidKey, Key};
use crate::message::{Envelope, Flag, Json, MessageId, Push};
use crate::websocket::OpCode;

/// Sending. Like the `send` of a page none of this waits, and after the end of the connection it does nothing.
impl Tab {
    /// An envelope of this tab, for [`Tab::send`] and [`Tab::ask`].
    ///
    /// # Panics
    ///
    /// If `body` cannot be JSON.
    pub fn envelope(&self, flag: impl Into<Flag>, body: impl Serialize) -> Envelope {
        Envelope::new(self.key(), flag, body)
    }

    /// Sends an envelope. If it has an id, the reply comes as a push with that id.
    pub fn send(&mut self, envelope: Envelope) {
        self.send_text(&json(&envelope));
    }

    /// Sends an envelope with an id of its own, waits for the reply and returns it without the id.
    ///
    /// # Panics
    ///
    /// If there is no reply within 60 s, as after `Reply::none()` and after a reply that is a [`Frame`](crate::message::Frame). If the
    /// connection ends first.
    pub async fn ask(&mut self, envelope: Envelope) -> Push {
        let flag = envelope.flag.clone();
        let id = self.ids.next("tab:");
        self.send(envelope.with_id(id.clone()));
        let reply = within(&format!("the reply to {:?}", flag.as_str()), self.answer(&id)).await;
        match reply {
            Some(push) => Push { id: None, ..push },
            None => self.ended("a reply"),
        }
    }

    /// [`Tab::ask`] with this flag and body.
    ///
    /// # Panics
    ///
    /// As [`Tab::ask`], and if `body` cannot be JSON.
    pub async fn request(&mut self, flag: impl Into<Flag>, body: impl Serialize) -> Push {
        self.ask(self.envelope(flag, body)).await
    }

    /// [`Tab::request`] with the flag `command`.
    ///
    /// ```
    /// use keywire::auth::RawKey;
    /// use keywire::testing::Tab;
    /// use keywire::{HandlerResult, Hub, Push, Reply, Session, Switch};
    ///
    /// async fn double(_: Session, number: u32) -> HandlerResult {
    ///     Ok(Reply::data(2 * number))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().command(double)).build();
    /// let mut alice = Tab::open(&hub, "alice").await;
    /// assert_eq!(alice.command(21).await, Push::data(42));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Tab::request`].
    pub async fn command(&mut self, body: impl Serialize) -> Push {
        self.request(Flag::COMMAND, body).await
    }

    /// Sends a message with the flag `inform` to this key, without an id. An error of the handler comes as a push.
    ///
    /// # Panics
    ///
    /// If `to` is not a key, or `body` cannot be JSON.
    pub fn inform<K>(&mut self, to: K, body: impl Serialize)
    where
        K: TryInto<Key>,
        K::Error: Into<InvalidKey>,
    {
        let to: Key =
            to.try_into().unwrap_or_else(|error| panic!("the reception must be a key: {}", error.into()));
        self.send(self.envelope(Flag::INFORM, body).with_reception(to));
    }

    /// Sends any content, as text.
    pub fn send_text(&mut self, text: &str) {
        self.page.send(OpCode::Text, text.as_bytes());
    }

    /// Sends a binary frame.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.page.send(OpCode::Binary, bytes);
    }

    /// Waits until everything that was sent is handled and everything that was sent back has arrived, or until the connection ends.
    pub(in crate::testing) async fn settle(&mut self) {
        let id = self.ids.next(BARRIER);
        self.send(self.envelope(BARRIER, ()).with_id(id.clone()));
        within(
            "the answer to a message of keywire's own. Does the handler's `text` let it through?",
            self.answer(&id),
        )
        .await;
    }
}

fn json(envelope: &Envelope) -> String {
    #[derive(Serialize)]
    struct Written<'a> {
        flag: &'a Flag,
        #[serde(skip_serializing_if = "Option::is_none")]
        reception: Option<&'a str>,
        body: &'a Json,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a MessageId>,
    }
    let Envelope { flag, reception, body, id, .. } = envelope;
    let written = Written { flag, reception: reception.as_ref().map(Key::as_str), body, id: id.as_ref() };
    // Cannot fail: strings, JSON and integers are always valid JSON.
    serde_json::to_string(&written).unwrap_or_default()
}
