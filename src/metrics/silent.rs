//! Empty methods in place of the recording, for builds without the feature `metrics`.

#[cfg(feature = "push-api")]
use super::kinds::{PushApiCall, RefusedSecret};
use crate::close::Closed;
use crate::delivery::{Kept, Outcome};
use crate::limits::Config;
use crate::log::GapKind;
use crate::rejection::Rejection;

pub(crate) struct Metrics;

impl Metrics {
    pub(crate) fn register() -> Self {
        Self
    }

    pub(crate) fn cluster(&self) -> &ClusterMetrics {
        &ClusterMetrics
    }

    pub(crate) fn log(&self) -> LogMetrics {
        LogMetrics
    }

    #[cfg(feature = "push-api")]
    pub(crate) fn push_api(&self) -> PushApiMetrics {
        PushApiMetrics
    }

    pub(crate) fn opened(&self, _: bool) {}

    pub(crate) fn key_left(&self) {}

    pub(crate) fn keys(&self, _: usize) {}

    pub(crate) fn closed(&self, _: &Closed) {}

    pub(crate) fn no_opening(&self) {}

    pub(crate) fn refused(&self, _: Rejection) {}

    pub(crate) fn read(&self, _: usize) {}

    pub(crate) fn received(&self) {}

    pub(crate) fn answer_ignored(&self) {}

    pub(crate) fn sent(&self, _: Outcome, _: usize, _: usize) {}

    pub(crate) fn behind(&self, _: usize, _: usize, _: &Config) {}

    pub(crate) fn dispatched(&self, _: Stopwatch) {}

    pub(crate) fn handled(&self, _: Stopwatch) {}

    pub(crate) fn handler_error(&self) {}

    pub(crate) fn handler_panic(&self) {}

    pub(crate) fn handler_timeout(&self) {}

    pub(crate) fn hook_failed(&self) {}
}

#[derive(Clone)]
pub(crate) struct ClusterMetrics;

impl ClusterMetrics {
    pub(crate) fn published(&self, _: bool) {}

    pub(crate) fn received(&self, _: bool) {}

    pub(crate) fn connected(&self, _: bool) {}
}

pub(crate) struct LogMetrics;

impl LogMetrics {
    pub(crate) fn appended(&self, _: Kept, _: usize, _: Stopwatch) {}

    pub(crate) fn reading(&self) {}

    pub(crate) fn read(&self, _: Stopwatch) {}

    pub(crate) fn replayed(&self, _: usize) {}

    pub(crate) fn gap(&self, _: GapKind) {}

    pub(crate) fn followed(&self) {}

    pub(crate) fn unfollowed(&self) {}
}

#[cfg(feature = "push-api")]
pub(crate) struct PushApiMetrics;

#[cfg(feature = "push-api")]
impl PushApiMetrics {
    pub(crate) fn answered(&self, _: PushApiCall, _: http::StatusCode) {}

    pub(crate) fn refused(&self, _: RefusedSecret) {}
}

#[derive(Clone, Copy)]
pub(crate) struct Stopwatch;

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self
    }
}
