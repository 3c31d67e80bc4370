use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;

use super::Outcome;
use crate::excerpt::Excerpt;
use crate::message::{Json, JsonError, MessageId};

/// The answer of a client to a request. It comes from the client, so check it as you check any message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(Json);

impl Answer {
    pub(crate) fn new(body: Json) -> Self {
        Self(body)
    }

    /// Parses the answer as a `T`.
    ///
    /// # Errors
    ///
    /// If the answer is not a `T`.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        self.0.parse()
    }

    /// The answer as raw JSON. `null` if the client gave no value.
    #[must_use]
    pub fn json(&self) -> &Json {
        &self.0
    }
}

/// A request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The client cannot be asked: it did not offer `answers.keywire` next to `keywire.v1`. Nothing was sent.
    #[error("the client answers no requests: it did not offer the subprotocol answers.keywire")]
    Unsupported,
    /// No answer came in time. The client may have got the request, and may have acted on it.
    #[error("no answer in time")]
    TimedOut,
    /// The session ended before the answer came, or had ended already.
    #[error("the session ended before the answer came")]
    Ended,
    /// The client has no handler for this flag, or its handler failed. The string is the client's own, of at most 256 bytes. It may
    /// contain anything: escape it before you show or log it. The `Display` of this error escapes it.
    #[error("the client failed to answer: {}", Excerpt(.0))]
    Failed(Box<str>),
    /// As many requests as are possible wait for answers of the session. Nothing was sent.
    #[error("{limit} requests wait for answers of the session, as many as are possible")]
    TooMany {
        /// Largest number of requests that wait for answers of one session.
        limit: usize,
    },
    /// The session did not queue the request, since its client is too slow. Nothing was sent.
    #[error("the request was not queued, since the client is too slow: {0:?}")]
    Undelivered(Outcome),
    /// The session is on another node, and its answer is larger than what nodes pass to each other. Only for
    /// [`Hub::request`](crate::Hub::request).
    #[error("the answer has more than {limit} bytes, the most that comes from another node")]
    TooLarge {
        /// Largest answer that comes from another node, in bytes of its JSON.
        limit: usize,
    },
    /// The push cannot be a request, for the given reason. Nothing was sent.
    #[error("not a request: {0}")]
    Invalid(&'static str),
    /// The session store failed (logged). Nothing was sent.
    #[error("the session store failed")]
    Unavailable,
}

impl RequestError {
    /// Longest string of [`RequestError::Failed`], in bytes. The rest is cut off.
    pub const MAX_BYTES: usize = 256;
}

/// Id of a request, as the id of its push. No client uses ids of this form for its own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(u64);

/// Reserved for keywire. Clients that know nothing of requests do not show pushes with such an id to their page.
const PREFIX: &str = "kw:";

impl RequestId {
    /// A new id. It is unique among all processes, and cannot be guessed from others.
    pub(crate) fn next() -> Self {
        static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self(SECRET.hash_one(NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The id in an answer. `None`: it is not the id of a request.
    pub(crate) fn of(id: &MessageId) -> Option<Self> {
        let MessageId::Text(text) = id else { return None };
        let digits = text.strip_prefix(PREFIX)?;
        let id = Self(u64::from_str_radix(digits, 16).ok()?);
        // An id has one form.
        (MessageId::from(id) == MessageId::Text(text.clone())).then_some(id)
    }
}

impl From<RequestId> for MessageId {
    fn from(id: RequestId) -> Self {
        Self::Text(id.to_string().into())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_has_one_form() {
        let id = RequestId::next();
        assert_ne!(id, RequestId::next());
        assert_eq!(RequestId::of(&id.into()), Some(id));
        assert_eq!(RequestId::of(&MessageId::Text("kw:000000000000000a".into())), Some(RequestId(10)));
        assert_eq!(RequestId::of(&MessageId::Number(10)), None);
        for wrong in
            ["", "kw:", "000000000000000a", "kw:a", "kw:000000000000000A", "kw:+00000000000000a", "kw:x1:2"]
        {
            assert_eq!(RequestId::of(&MessageId::Text(wrong.into())), None, "{wrong}");
        }
    }

    #[test]
    fn what_a_client_says_is_escaped() {
        let error = RequestError::Failed("a\nb\u{202e}".into());
        assert_eq!(error.to_string(), "the client failed to answer: a\\nb\\u{202e}");
    }
}
