use crate::message::JsonError;

/// Reason why there is no connection, or why a message is not readable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is not a WebSocket URL.
    #[error("not a WebSocket URL: {0}")]
    Url(&'static str),
    /// TLS cannot be set up, for example because the system trusts no certificate authority. If the server's certificate is not
    /// trusted, the error is [`Connection`](Self::Connection).
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The credential has characters that its place does not allow.
    #[error("the credential has characters that its place in the request does not allow")]
    Credential,
    /// The application returned an error in place of a credential, or returned no credential in time.
    #[error("no credential: {0}")]
    NoCredential(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server refused the opening with this HTTP status.
    #[error("the server refused the opening with status {0}")]
    Status(u16),
    /// The connection failed: the host is unknown or does not answer, its certificate is not trusted, or it violates the protocol.
    #[error("the connection failed: {0}")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server sent no response, or no sign of life, in time.
    #[error("no response in time")]
    Timeout,
    /// A message from the server is not a push.
    #[error("not a push")]
    NotAPush,
    /// The server refused a new credential with this code.
    #[error("the server refused the new credential with code {0}")]
    Refused(String),
}

/// Reason why a message is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The client has ended.
    #[error("the client has ended")]
    Closed,
    /// The queue of messages is full, since there is no connection or the connection is slow.
    #[error("the queue is full")]
    Full,
    /// The body cannot be JSON.
    #[error("the body cannot be JSON")]
    Json(#[from] JsonError),
}

/// Reason why there is no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The message was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// No reply came in time.
    #[error("no reply in time")]
    Timeout,
    /// The connection that the message was sent over has ended.
    #[error("the connection ended before the reply")]
    Lost,
}
