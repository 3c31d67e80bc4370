//! `inform`: passes a body on to other users.

use keywire::message::{Code, Flag};
use keywire::store::{Recipients, Remote};
use keywire::{Delivery, Envelope, HandlerResult, Key, Push, Reply, Session};
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
        Some(key) if delivery.delivered == 0 && !is_online(&session, key, &delivery).await => {
            Reply::error(Code::ABSENT, format!("{key} is not connected"))
        }
        _ => {
            let mut data = json!({ "delivered": delivery.delivered });
            if delivery.remote != Remote::None {
                data["remote"] = json!(delivery.remote);
            }
            done(&envelope, Push::message("delivered").with_data(data))
        }
    })
}

/// Whether the recipient is connected, to any node: a delivery does not know the sessions of other nodes.
async fn is_online(session: &Session, key: &Key, delivery: &Delivery) -> bool {
    match delivery.remote {
        Remote::Published => session.hub().online(key).await.unwrap_or(true),
        _ => !delivery.is_absent(),
    }
}

/// The reply to an envelope with an id. Without an id there is no reply.
pub(crate) fn done(envelope: &Envelope, push: Push) -> Reply {
    if envelope.id.is_some() { push.into() } else { Reply::none() }
}
