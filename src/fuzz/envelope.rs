use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::key::Key;
use crate::message::{Envelope, MessageId};
use crate::text::Text;

/// Checks that every accepted envelope is an object for serde_json too, with the same fields.
///
/// The bytes are the content of a text frame, so they are already known to be UTF-8.
pub fn envelope(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let sender = Key::new("alice").expect("it is a key");
    let read = Envelope::read(&Text::from(text), &sender);
    let value = serde_json::from_str::<Value>(text);

    let envelope = match read {
        Ok(envelope) => envelope,
        Err(malformed) => {
            if malformed.reason == "not JSON" {
                assert!(!matches!(value, Ok(Value::Object(_))), "it is an object");
            }
            return;
        }
    };
    assert_eq!(envelope.sender, sender, "the sender does not come from the client");
    let body: &RawValue = serde_json::from_str(envelope.body.as_str()).expect("the body is JSON");
    assert_eq!(body.get(), envelope.body.as_str());
    serde_json::from_str::<HashMap<String, &RawValue>>(text).expect("it is an object");

    // A `Value` cannot hold all JSON, for example halves of a surrogate pair and very large numbers.
    let Ok(value) = value else { return };
    assert_eq!(value["flag"], envelope.flag.as_str());
    let reception = value["reception"].as_str().filter(|key| !key.is_empty());
    assert_eq!(reception, envelope.reception.as_ref().map(Key::as_str));
    assert_eq!(envelope.parse::<Value>().expect("so is the body"), value["body"]);
    match envelope.id {
        None => assert_eq!(value["id"], Value::Null),
        Some(MessageId::Number(id)) => assert_eq!(value["id"], id),
        Some(MessageId::Text(id)) => assert_eq!(value["id"], *id),
    }
}
