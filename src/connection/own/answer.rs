//! `kw:answer`: the answer of a client to a request.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{Answer, RequestError, RequestId};
use crate::message::Envelope;
use crate::session::Session;
use crate::text::{Text, cut};

/// Passes the answer to the request that waits for it. It is ignored if none does: it is late, or it comes twice, or its id is not
/// one of a request.
pub(super) fn take(session: &Session, envelope: Envelope, text: &Text) {
    let id = envelope.id.as_ref().and_then(RequestId::of);
    match id.and_then(|id| session.take_waiter(id)) {
        Some(waiter) => waiter(match error_in(text) {
            Some(error) => Err(RequestError::Failed(error)),
            None => Ok(Answer::new(envelope.body)),
        }),
        None => session.hub().metrics().answer_ignored(),
    }
}

/// The error in an answer. It is not a field of an [`Envelope`], so that other messages need not look for it.
fn error_in(text: &str) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Failure<'a> {
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
    }
    // The envelope has been read, so this fails only if the field is repeated.
    let Ok(Failure { error }) = serde_json::from_str(text) else { return Some("".into()) };
    let json = error?.get();
    let error = serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned);
    Some(cut(&error, RequestError::MAX_BYTES).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_string_and_cut() {
        let error = |text: &str| error_in(text).as_deref().map(str::to_owned);
        assert_eq!(error(r#"{"flag":"kw:answer","body":1}"#), None);
        assert_eq!(error(r#"{"error":null}"#), None);
        assert_eq!(error(r#"{"error":"no \"such\" flag"}"#), Some("no \"such\" flag".into()));
        assert_eq!(error(r#"{"error":{"a":1}}"#), Some("{\"a\":1}".into()));
        assert_eq!(error(r#"{"error":1,"error":2}"#), Some(String::new()));
        let long = format!(r#"{{"error":"a{}"}}"#, "ë".repeat(1000));
        assert_eq!(error(&long), Some(format!("a{}", "ë".repeat(127))));
    }
}
