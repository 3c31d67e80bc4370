//! `kw:refresh`: a fresh credential over an open session.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::handler::{HandlerResult, Reply};
use crate::key::Identity;
use crate::message::{Code, Envelope};
use crate::rejection::Rejection;
use crate::session::Session;
use crate::span;
use crate::websocket::CloseCode;

/// Lets the session live as long as the credential in the envelope's body, if it is this session's.
pub(super) async fn refresh(session: &Session, envelope: Envelope) -> HandlerResult {
    let Ok(credential) = envelope.parse::<String>() else {
        return Ok(Reply::error(Code::MALFORMED, "the body must be the credential"));
    };
    Ok(match check(session, &credential).await {
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

async fn check(session: &Session, credential: &str) -> Result<Identity, Rejection> {
    let checked = AssertUnwindSafe(async { session.hub().keys().refresh(credential).await }).catch_unwind();
    checked.await.unwrap_or_else(|_| {
        span::of_error(session).in_scope(|| tracing::error!("the key extractor panicked"));
        Err(Rejection::Unavailable)
    })
}

/// The client learns the kind of failure, as at the door.
fn refused(rejection: Rejection) -> Reply {
    match rejection {
        Rejection::Missing => Reply::error(Code::UNKNOWN_FLAG, "credentials are not refreshed here"),
        Rejection::Forbidden => Reply::error(Code::FORBIDDEN, rejection.kind()),
        Rejection::Unavailable => Reply::error(Code::FAILED, rejection.kind()),
        _ => Reply::error(Code::UNAUTHENTICATED, rejection.kind()),
    }
}
