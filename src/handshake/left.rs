use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use crate::rejection::Rejection;

/// What an extractor leaves for the hub.
#[derive(Default)]
pub(super) struct Left(Mutex<State>);

/// Work after all other checks of an opening, for example using up a single-use credential.
pub(super) type Deferred = BoxFuture<'static, Result<(), Rejection>>;

#[derive(Default)]
struct State {
    deferred: Vec<Deferred>,
    /// The reason of a rejection, for the log.
    why: Option<Cow<'static, str>>,
}

impl Left {
    pub(super) fn defer(&self, work: Deferred) {
        self.state().deferred.push(work);
    }

    pub(super) fn has_deferred(&self) -> bool {
        !self.state().deferred.is_empty()
    }

    pub(super) fn take_deferred(&self) -> Vec<Deferred> {
        std::mem::take(&mut self.state().deferred)
    }

    pub(super) fn explain(&self, why: Cow<'static, str>) {
        self.state().why = Some(why);
    }

    pub(super) fn take_explanation(&self) -> Option<Cow<'static, str>> {
        self.state().why.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
