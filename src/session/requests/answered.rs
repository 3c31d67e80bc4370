use crate::delivery::{Answer, RequestError, SessionId};
use crate::key::Key;

/// The answer of one session to a request to several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// The id of the session.
    pub session: SessionId,
    /// The key of the session.
    pub key: Key,
    /// Its answer, or why there is none.
    pub answer: Result<Answer, RequestError>,
}
