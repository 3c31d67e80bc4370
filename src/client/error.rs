use crate::message::JsonError;

/// Why there is no connection, or a message could not be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is not one of a WebSocket.
    #[error("not a WebSocket URL: {0}")]
    Url(&'static str),
    /// TLS cannot be set up, for example because the system trusts no certificate authority. A server whose
    /// certificate is not trusted is a [`Connection`](Self::Connection).
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The credential cannot stand where it is to stand.
    #[error("the credential cannot stand there")]
    Credential,
    /// The application was asked for a credential and has none, or gave none in time.
    #[error("no credential: {0}")]
    NoCredential(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server answered the opening with this HTTP status.
    #[error("the opening was answered with status {0}")]
    Status(u16),
    /// The connection failed: the host is unknown or does not answer, its certificate is not trusted, or it breaks the
    /// protocol.
    #[error("the connection failed: {0}")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server gave no answer, or no sign of life, in time.
    #[error("no answer in time")]
    Timeout,
    /// What the server sent is no push.
    #[error("not a push")]
    NotAPush,
    /// The server did not take a fresh credential; this is the code of its answer.
    #[error("the fresh credential was refused with {0}")]
    Refused(String),
}

/// Why a message is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended for good.
    #[error("closed")]
    Closed,
    /// There is no connection, or it is slow, and as many messages wait as may.
    #[error("the queue is full")]
    Full,
    /// The body cannot be JSON.
    #[error("the body cannot be JSON")]
    Json(#[from] JsonError),
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The message was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// None came in time.
    #[error("no reply in time")]
    Timeout,
    /// The connection that the message went into has ended.
    #[error("the connection ended before the reply")]
    Lost,
}
