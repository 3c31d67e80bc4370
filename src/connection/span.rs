use futures_util::future::BoxFuture;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Span};

use crate::session::Session;

/// What is logged within it says by itself whose it is.
///
/// It is made for each stretch of work, the beginning, a handler's call, the end, and not held in between: an idle
/// session would be larger by it.
pub(super) fn of(session: &Session) -> Span {
    tracing::debug_span!("session", id = %session.id(), peer = session.peer().map(tracing::field::display))
}

/// The work of a handler, within a span if that may be heard: a message costs next to nothing more where nobody
/// listens at this level.
pub(super) fn around<'a, T: 'a>(session: &Session, work: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
    if LevelFilter::current() >= LevelFilter::DEBUG { Box::pin(work.instrument(of(session))) } else { work }
}
