//! `kw:refresh`: a fresh credential over an open session.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::app_call::{CallError, call_app};
use crate::deadline::millis;
use crate::handler::{HandlerResult, Reply};
use crate::key::Identity;
use crate::limits::{Rate, RateLimiter, Verdict};
use crate::message::{Code, Envelope};
use crate::rejection::Rejection;
use crate::session::Session;
use crate::span;
use crate::websocket::CloseCode;

/// Rate limit for the refreshes of a session. A check of a credential costs the server more than any other message, and a page
/// needs one in the lifetime of a token.
const RATE: Rate = Rate::new(10, Duration::from_secs(60));

/// Extends the session to the end of the credential in the envelope's body, if that is for the same key.
pub(super) async fn refresh(session: &Session, envelope: Envelope) -> HandlerResult {
    let Ok(credential) = envelope.parse::<String>() else {
        return Ok(Reply::error(Code::MALFORMED, "the body must be the credential"));
    };
    if !allow(session.refreshes(), Instant::now()) {
        return Ok(Reply::error(Code::SLOW_DOWN, "too many refreshes"));
    }
    Ok(match check(session, credential).await {
        Ok(identity) if identity.key() == session.key() => {
            session.renew(identity);
            Reply::ok("refreshed")
        }
        Ok(_) => {
            session.close(CloseCode::OTHER_KEY, "the credential of another key");
            Reply::none()
        }
        Err(rejection) => refused(rejection),
    })
}

/// Whether one more refresh is within the rate. Only then it counts. `paid_off` is the moment at which the debt is paid off, in
/// milliseconds that wrap around; only one task changes it.
fn allow(paid_off: &AtomicU32, now: Instant) -> bool {
    let limiter = RateLimiter::in_millis(RATE);
    let now = millis(now);
    let debt = paid_off.load(Ordering::Relaxed).wrapping_sub(now);
    // A moment further ahead than the largest debt has passed, before the milliseconds wrapped around.
    let debt = if limiter.verdict(debt.into()) == Verdict::Allowed { debt } else { 0 };
    let charged = limiter.allow(debt.into()).and_then(|debt| u32::try_from(debt).ok());
    if let Some(debt) = charged {
        paid_off.store(now.wrapping_add(debt), Ordering::Relaxed);
    }
    charged.is_some()
}

async fn check(session: &Session, credential: String) -> Result<Identity, Rejection> {
    let (hub, peer) = (session.hub().clone(), session.peer());
    let check = async move {
        let limit = hub.config().handler_timeout;
        call_app(limit, || Box::pin(hub.turns().run(peer, hub.keys().refresh(&credential)))).await
    };
    // In a task of its own, since the connection's task goes on to other work in the same poll.
    let checked = AbortOnDropHandle::new(tokio::spawn(check.in_current_span())).await;
    let identity = match checked {
        Ok(Ok(decided)) => decided?,
        // The message of a panic may contain the credential.
        Ok(Err(CallError::TimedOut)) => {
            span::of_error(session).in_scope(|| tracing::error!("the key extractor timed out"));
            return Err(Rejection::Unavailable);
        }
        Ok(Err(CallError::Panicked(_))) | Err(_) => {
            span::of_error(session).in_scope(|| tracing::error!("the key extractor panicked"));
            return Err(Rejection::Unavailable);
        }
    };
    if identity.is_over() {
        return Err(Rejection::Expired);
    }
    Ok(identity)
}

/// The client learns the kind of failure, as with a refused opening.
fn refused(rejection: Rejection) -> Reply {
    match rejection {
        Rejection::Missing => Reply::error(Code::UNKNOWN_FLAG, "credentials are not refreshed here"),
        Rejection::Forbidden => Reply::error(Code::FORBIDDEN, rejection.kind()),
        Rejection::Throttled => Reply::error(Code::SLOW_DOWN, rejection.kind()),
        Rejection::Unavailable => Reply::error(Code::FAILED, rejection.kind()),
        Rejection::Invalid
        | Rejection::Expired
        | Rejection::NotYet
        | Rejection::Malformed
        | Rejection::Ambiguous
        | Rejection::TooMany => Reply::error(Code::UNAUTHENTICATED, rejection.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_ten_then_one_by_one() {
        for days in [0, 49, 50, 100] {
            let paid_off = AtomicU32::new(0);
            // A session that opens in the first minute of the process has no debt either.
            let start = Instant::now() + Duration::from_secs(days * 24 * 60 * 60 + 61);
            let allowed =
                |after| (0..100).filter(|_| allow(&paid_off, start + Duration::from_secs(after))).count();
            assert_eq!(allowed(0), 10);
            assert_eq!(allowed(5), 0);
            assert_eq!(allowed(6), 1);
            assert_eq!(allowed(18), 2);
            assert_eq!(allowed(24 * 60 * 60), 10, "unused refreshes do not accumulate");
            assert_eq!(allowed(26 * 24 * 60 * 60), 10);
            assert_eq!(allowed(52 * 24 * 60 * 60), 10);
        }
    }
}
