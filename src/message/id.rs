use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Id of a client's message: a number or a string. The client finds the reply by it.
///
/// A string has at most [`MessageId::MAX_BYTES`] bytes. A number is an integer that JavaScript represents exactly: at most
/// 2^53 − 1 on either side of zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum MessageId {
    /// An integer.
    Number(i64),
    /// A short string.
    Text(Box<str>),
}

impl MessageId {
    /// Longest string, in bytes.
    pub const MAX_BYTES: usize = 64;
    /// Largest integer that JavaScript represents exactly.
    pub const MAX_NUMBER: i64 = (1 << 53) - 1;

    /// Length of the JSON, if a string needs no escape.
    pub(super) fn plain_len(&self) -> usize {
        match self {
            Self::Number(number) => {
                let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                usize::from(*number < 0) + digits as usize
            }
            Self::Text(text) => text.len() + 2,
        }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.pad(text),
        }
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = MessageId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a string of at most 64 bytes or an integer of at most 2^53 - 1")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<MessageId, E> {
                if number.abs_diff(0) > MessageId::MAX_NUMBER.unsigned_abs() {
                    return Err(E::invalid_value(de::Unexpected::Signed(number), &self));
                }
                Ok(MessageId::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<MessageId, E> {
                match i64::try_from(number) {
                    Ok(number) => self.visit_i64(number),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MessageId, E> {
                if text.len() > MessageId::MAX_BYTES {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(MessageId::Text(text.into()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_texts_and_exact_integers() {
        let id = |json: &str| serde_json::from_str::<MessageId>(json);
        assert_eq!(id("7").unwrap(), MessageId::Number(7));
        assert_eq!(id("-7").unwrap(), MessageId::Number(-7));
        assert_eq!(id("9007199254740991").unwrap(), MessageId::Number(MessageId::MAX_NUMBER));
        assert_eq!(id(r#""a""#).unwrap(), MessageId::Text("a".into()));
        assert!(id(&format!("\"{}\"", "a".repeat(64))).is_ok());
        for bad in
            ["9007199254740992", "-9007199254740992", "18446744073709551615", "1.5", "true", "[]", "{}"]
        {
            assert!(id(bad).is_err(), "{bad}");
        }
        assert!(id(&format!("\"{}\"", "a".repeat(65))).is_err());
        assert!(id("-9223372036854775808").is_err());
    }
}
