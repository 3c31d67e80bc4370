//! Log spans, which name the session that logs.

use std::fmt;

use futures_util::future::BoxFuture;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Span};

use crate::key::Key;
use crate::session::Session;

/// A span that adds the id, the key and the peer of the session to each log line within it.
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

/// The span for a part of a session's work: the beginning, a handler call, the end. A session does not store its span, since that
/// would make idle sessions larger.
pub(crate) fn of(session: &Session) -> Span {
    span!(DEBUG, session)
}

/// The work of a handler, within a span if `debug` is enabled. Without a listener at this level, a message costs almost nothing
/// more.
pub(crate) fn around<'a, T: 'a>(session: &Session, work: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
    if LevelFilter::current() < LevelFilter::DEBUG || is_inside() {
        return work;
    }
    Box::pin(work.instrument(of(session)))
}

/// [`around`] for work that is done at once.
pub(crate) fn within<T>(session: &Session, work: impl FnOnce() -> T) -> T {
    if LevelFilter::current() < LevelFilter::DEBUG || is_inside() {
        return work();
    }
    of(session).in_scope(work)
}

/// The span for an error. It is at level `ERROR`, so that it is recorded even if the span of the work is not. `none` within the span
/// of the work, which has the same fields.
pub(crate) fn of_error(session: &Session) -> Span {
    if is_inside() { Span::none() } else { span!(ERROR, session) }
}

/// Whether the current span is a session's. It is always the right session, since no session polls another.
fn is_inside() -> bool {
    Span::current().metadata().is_some_and(|span| span.name() == "session" && span.target() == module_path!())
}

/// A key as the value of a field. It is quoted and escaped if it could look like further fields.
///
/// A key is not a credential. It is the name from the extractor, which other users see as `sender`.
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
