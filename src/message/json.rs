use std::fmt;

use bytestring::ByteString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Valid JSON as a string. It is parsed only when a type is requested.
///
/// The body of an [`Envelope`](crate::Envelope) is `Json`, so relaying it needs no parsing. A clone copies a pointer.
///
/// ```
/// use keywire::message::Json;
///
/// let json = Json::new(&[1, 2, 3])?;
/// assert_eq!(json.as_str(), "[1,2,3]");
/// assert_eq!(json.parse::<Vec<u8>>()?, [1, 2, 3]);
/// # Ok::<(), keywire::message::JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Json(
    /// Valid JSON.
    ByteString,
);

impl Json {
    /// JSON's `null`.
    pub const NULL: Self = Self(ByteString::from_static("null"));

    /// Serializes `value`.
    ///
    /// # Errors
    ///
    /// If `value` cannot be JSON: its `Serialize` fails, or it contains a map whose keys are not strings.
    pub fn new(value: &(impl Serialize + ?Sized)) -> Result<Self, JsonError> {
        match serde_json::to_string(value) {
            Ok(text) => Ok(Self(text.into())),
            Err(error) => Err(JsonError(error)),
        }
    }

    /// Wraps a string that the parser has just accepted as JSON.
    pub(crate) fn trusted(text: ByteString) -> Self {
        Self(text)
    }

    /// Parses the JSON as a `T`.
    ///
    /// # Errors
    ///
    /// If the JSON is not a `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        serde_json::from_str(&self.0).map_err(JsonError)
    }

    /// The decoded string, if the value is a JSON string. Else `None`.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        if !self.0.starts_with('"') {
            return None;
        }
        self.parse().ok()
    }

    /// The JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }
}

/// A value cannot be written as JSON, or JSON cannot be parsed as the requested type.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct JsonError(serde_json::Error);

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({})", self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(raw)).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_json_string_is_text() {
        assert_eq!(Json::new("a\"b").unwrap().to_text().as_deref(), Some("a\"b"));
        assert_eq!(Json::new(&7).unwrap().to_text(), None);
        assert_eq!(Json::NULL.to_text(), None);
    }

    #[test]
    fn passes_through_serde_unchanged() {
        #[derive(Serialize, Deserialize)]
        struct Holder {
            inner: Json,
        }
        let text = r#"{"inner":{"b":1.50,"a":[null]}}"#;
        let holder: Holder = serde_json::from_str(text).unwrap();
        assert_eq!(holder.inner.as_str(), r#"{"b":1.50,"a":[null]}"#);
        assert_eq!(serde_json::to_string(&holder).unwrap(), text);
    }

    #[test]
    fn what_cannot_be_json_is_an_error() {
        let map = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(Json::new(&map).is_err());
    }
}
