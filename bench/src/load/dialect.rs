//! How a server wants to be spoken to.

use clap::ValueEnum;

use crate::wire;

/// Plain text frames, or Socket.IO's packets inside of them.
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

    /// What a client says after the opening, before it takes part.
    #[must_use]
    pub fn greeting(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Socketio => Some("40"),
        }
    }

    /// By what the frame begins that ends the greetings.
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

    /// A text of which the whole payload is `size` bytes.
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

    /// The text of a message that a server made.
    #[must_use]
    pub fn message(self, payload: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Plain => payload.strip_prefix(wire::PREFIX.as_bytes()),
            Self::Socketio => payload.strip_prefix(br#"42["m",""#),
        }
    }

    /// What to answer, if this is a ping of the dialect's own.
    #[must_use]
    pub fn pong(self, payload: &[u8]) -> Option<&'static [u8]> {
        (self == Self::Socketio && payload == b"2").then_some(b"3")
    }
}
