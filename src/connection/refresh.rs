//! `kw:refresh`: a fresh credential over an open session.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use self::rate::Rate;
use crate::bounded::{Lapse, bounded};
use crate::handler::{HandlerResult, Reply};
use crate::key::Identity;
use crate::message::{Code, Envelope};
use crate::rejection::Rejection;
use crate::session::Session;
use crate::span;
use crate::websocket::CloseCode;

mod rate;

/// How often a session may have a credential checked, which costs the server more than any other message does: a page needs
/// it once in the lifetime of a token.
const RATE: Rate = Rate { times: 10, per: Duration::from_secs(60) };

/// Lets the session live as long as the credential in the envelope's body, if it is this session's.
pub(super) async fn refresh(session: &Session, envelope: Envelope) -> HandlerResult {
    let Ok(credential) = envelope.parse::<String>() else {
        return Ok(Reply::error(Code::MALFORMED, "the body must be the credential"));
    };
    if !RATE.allow(session.refreshes(), Instant::now()) {
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

async fn check(session: &Session, credential: String) -> Result<Identity, Rejection> {
    let (hub, peer) = (session.hub().clone(), session.peer());
    let check = async move {
        let patience = hub.config().handler_timeout;
        bounded(patience, || Box::pin(hub.turns().run(peer, hub.keys().refresh(&credential)))).await
    };
    // In a task of its own: the connection's goes on to other work in the same poll.
    let checked = AbortOnDropHandle::new(tokio::spawn(check.in_current_span())).await;
    let identity = match checked {
        Ok(Ok(decided)) => decided?,
        // The text of a panic may contain the credential.
        Ok(Err(Lapse::TimedOut)) => {
            span::of_error(session).in_scope(|| tracing::error!("the key extractor timed out"));
            return Err(Rejection::Unavailable);
        }
        Ok(Err(Lapse::Panic(_))) | Err(_) => {
            span::of_error(session).in_scope(|| tracing::error!("the key extractor panicked"));
            return Err(Rejection::Unavailable);
        }
    };
    if identity.is_over() {
        return Err(Rejection::Expired);
    }
    Ok(identity)
}

/// The client learns the kind of failure, as at the door.
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
