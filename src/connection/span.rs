use tracing::Span;
use tracing::level_filters::LevelFilter;

use crate::session::Session;

/// What is logged within it says by itself whose it is.
///
/// It is made for each stretch of work, the beginning, a handler's call, the end, and not held in between: an idle
/// session would be larger by it.
pub(super) fn of(session: &Session) -> Span {
    tracing::debug_span!("session", id = %session.id(), peer = session.peer().map(tracing::field::display))
}

/// Whether it is worth making: a message costs next to nothing more where nobody listens at this level.
pub(super) fn may_be_heard() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}
