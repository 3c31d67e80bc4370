use std::error::Error;

/// Failure of a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The call had no effect.
    #[error("the log failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// The log gave no answer. The call may have had its effect.
    #[error("the log gave no answer")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
    /// The push is larger than the log allows for one key.
    #[error("a push of {bytes} bytes is larger than the log allows, {limit} bytes")]
    TooLarge {
        /// The size of the push, as JSON.
        bytes: usize,
        /// The limit of the log.
        limit: usize,
    },
}
