//! The protocol of a server.

use clap::ValueEnum;

use crate::wire;

/// Plain text frames, or Socket.IO packets inside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    Plain,
    Socketio,
}

impl Dialect {
    /// The request target of a session.
    #[must_use]
    pub fn target(self, key: &str) -> String {
        match self {
            Self::Plain => format!("/websocket/{key}"),
            Self::Socketio => format!("/socket.io/?EIO=4&transport=websocket&user={key}"),
        }
    }

    /// The messages of a client after the opening, before it takes part.
    #[must_use]
    pub fn greeting(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Socketio => Some("40"),
        }
    }

    /// The beginning of the frame that ends the greetings.
    #[must_use]
    pub fn welcome(self) -> &'static [u8] {
        b"40"
    }

    /// A text for the server.
    #[must_use]
    pub fn text(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Socketio => format!(r#"42["m","{text}"]"#),
        }
    }

    /// A text whose whole payload has `size` bytes.
    #[must_use]
    pub fn padded(self, mark: char, size: usize) -> String {
        let around = self.text("").len();
        self.text(&mark.to_string().repeat(size.saturating_sub(around)))
    }

    /// A JSON command and its reply.
    #[must_use]
    pub fn command(self, body: &str, id: u64) -> (String, String) {
        match self {
            Self::Plain => (
                format!(r#"{{"flag":"command","body":{body},"id":{id}}}"#),
                format!(r#"{{"code":"01","msg":"","data":{body},"id":{id}}}"#),
            ),
            Self::Socketio => (
                format!(r#"42["command",{{"body":{body},"id":{id}}}]"#),
                format!(r#"42["push",{{"code":"01","msg":"","data":{body},"id":{id}}}]"#),
            ),
        }
    }

    /// The text of a server's message.
    #[must_use]
    pub fn message(self, payload: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Plain => payload.strip_prefix(wire::PREFIX.as_bytes()),
            Self::Socketio => payload.strip_prefix(br#"42["m",""#),
        }
    }

    /// The answer, if this is a ping of the dialect.
    #[must_use]
    pub fn pong(self, payload: &[u8]) -> Option<&'static [u8]> {
        (self == Self::Socketio && payload == b"2").then_some(b"3")
    }
}
