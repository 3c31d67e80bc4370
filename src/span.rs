//! Whose work it is that logs.

use std::fmt;

use futures_util::future::BoxFuture;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Span};

use crate::key::Key;
use crate::session::Session;

/// The session in each line that is logged within it: its id, key and peer.
macro_rules! span {
    ($level:ident, $session:expr) => {
        tracing::span!(
            tracing::Level::$level,
            "session",
            id = %$session.id(),
            key = %Logged($session.key()),
            peer = $session.peer().map(tracing::field::display)
        )
    };
}

/// The span of a stretch of work: the beginning, a handler's call, the end. It is not held in between: an idle session
/// would be larger by it.
pub(crate) fn of(session: &Session) -> Span {
    span!(DEBUG, session)
}

/// The work of a handler, within a span if that may be heard: a message costs next to nothing more where nobody
/// listens at this level.
pub(crate) fn around<'a, T: 'a>(session: &Session, work: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
    if LevelFilter::current() < LevelFilter::DEBUG || is_inside() {
        return work;
    }
    Box::pin(work.instrument(of(session)))
}

/// The span of an error, which is heard where the span of the work is not. None within that one, which says the same.
pub(crate) fn of_error(session: &Session) -> Span {
    if is_inside() { Span::none() } else { span!(ERROR, session) }
}

/// Whether this is the work of a session already. It is that very one: none polls another.
fn is_inside() -> bool {
    Span::current().metadata().is_some_and(|span| span.name() == "session" && span.target() == module_path!())
}

/// A key as the value of a field: in quotes and escaped where it could be taken for further fields.
///
/// A key is no credential. It is the name that the extractor gave, which other users see as `sender`.
struct Logged<'a>(&'a Key);

impl fmt::Display for Logged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.as_str();
        let plain = |char: char| char.is_alphanumeric() || "-_.@+:/%".contains(char);
        if key.chars().all(plain) { f.write_str(key) } else { write!(f, "{key:?}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_forges_no_field() {
        let logged = |key| Logged(&Key::new(key).unwrap()).to_string();
        assert_eq!(logged("zoë@example.org"), "zoë@example.org");
        assert_eq!(logged("alice peer=10.0.0.1"), r#""alice peer=10.0.0.1""#);
        assert_eq!(logged("alice}"), r#""alice}""#);
        assert_eq!(logged(r#""alice" x"#), r#""\"alice\" x""#);
    }
}
