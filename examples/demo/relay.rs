//! `inform`: passes a body on to other users.

use keywire::message::{Code, Flag};
use keywire::store::Recipients;
use keywire::{Envelope, HandlerResult, Push, Reply, Session};
use serde_json::json;

/// Sends to `reception`, or to everyone without one.
pub(crate) async fn inform(session: Session, envelope: Envelope) -> HandlerResult {
    let push = match envelope.body.to_text() {
        Some(text) => Push::message(text),
        None if envelope.body.is_null() => Push::message(""),
        None => Push::message("").with_json(envelope.body.clone()),
    };
    let push = push.with_flag(Flag::INFORM).with_sender(&envelope.sender);
    let to = match &envelope.reception {
        Some(key) => Recipients::key(key.clone()),
        None => Recipients::everyone(),
    };
    let delivery = session.hub().send(&to, push).await;
    Ok(match &envelope.reception {
        Some(key) if delivery.is_absent() => Reply::error(Code::ABSENT, format!("{key} is not connected")),
        _ => {
            let data = json!({ "delivered": delivery.delivered });
            done(&envelope, Push::message("delivered").with_data(data))
        }
    })
}

/// The reply to an envelope with an id. Without an id there is no reply.
pub(crate) fn done(envelope: &Envelope, push: Push) -> Reply {
    if envelope.id.is_some() { push.into() } else { Reply::none() }
}
