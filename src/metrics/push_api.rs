//! Metrics of the push API.

use ::metrics::Counter;

use super::handle::counter;
use super::kinds::{PushApiCall, RefusedSecret};
use super::table;

/// The handles of a hub's push API.
pub(crate) struct PushApiMetrics {
    calls: Vec<Outcomes>,
    missing: Counter,
    wrong: Counter,
    throttled: Counter,
}

/// The counters of one route.
struct Outcomes {
    call: PushApiCall,
    succeeded: Counter,
    client_failed: Counter,
    server_failed: Counter,
}

impl PushApiMetrics {
    pub(super) fn register() -> Self {
        let secrets = |kind: RefusedSecret| counter(&table::PUSH_API_SECRETS, &[("kind", kind.name())]);
        Self {
            calls: PushApiCall::ALL.into_iter().map(Outcomes::register).collect(),
            missing: secrets(RefusedSecret::Missing),
            wrong: secrets(RefusedSecret::Wrong),
            throttled: secrets(RefusedSecret::Throttled),
        }
    }

    /// Records a call with a right secret that was answered with this status.
    #[cfg_attr(not(feature = "push-api"), expect(dead_code, reason = "there are no calls"))]
    pub(crate) fn answered(&self, call: PushApiCall, status: http::StatusCode) {
        let Some(outcomes) = self.calls.iter().find(|outcomes| outcomes.call == call) else { return };
        let count = match status.as_u16() {
            500.. => &outcomes.server_failed,
            400.. => &outcomes.client_failed,
            _ => &outcomes.succeeded,
        };
        count.increment(1);
    }

    /// Records a call that was refused for its secret.
    #[cfg_attr(not(feature = "push-api"), expect(dead_code, reason = "there are no calls"))]
    pub(crate) fn refused(&self, kind: RefusedSecret) {
        let count = match kind {
            RefusedSecret::Missing => &self.missing,
            RefusedSecret::Wrong => &self.wrong,
            RefusedSecret::Throttled => &self.throttled,
        };
        count.increment(1);
    }
}

impl Outcomes {
    fn register(call: PushApiCall) -> Self {
        let count = |status| counter(&table::PUSH_API_CALLS, &[("status", status), ("route", call.name())]);
        Self { call, succeeded: count("2xx"), client_failed: count("4xx"), server_failed: count("5xx") }
    }
}
