use std::io;
use std::sync::Arc;

/// Failure of [`Nats`](super::Nats). No variant contains a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The URL is not one of a NATS server.
    #[error("the URL of the NATS server: {0}")]
    Url(&'static str),
    /// A setting does not work.
    #[error("the settings of NATS: {0}")]
    Settings(&'static str),
    /// A server cannot be reached.
    #[error("the NATS server {server} cannot be reached")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The reason.
        source: io::Error,
    },
    /// A server accepts no TLS, or TLS fails.
    #[error("TLS with the NATS server {server}")]
    Tls {
        /// Host and port.
        server: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server refuses the user, password or token.
    #[error("the NATS server {server} refuses the credentials: {reason}")]
    Credentials {
        /// Host and port.
        server: String,
        /// The server's words.
        reason: String,
    },
    /// A server is too old for the log and for presence.
    #[error("the NATS server has version {found}; the log and presence need {needed} or newer")]
    TooOld {
        /// The version of the server.
        found: String,
        /// The oldest version that is enough.
        needed: &'static str,
    },
    /// JetStream is off, or off for this account. The log and presence need it.
    #[error(
        "JetStream is not enabled: start nats-server with -js, or connect without the log and without presence"
    )]
    NoJetStream,
    /// The server cannot create or change a stream.
    #[error("the stream {name} cannot be set up")]
    Stream {
        /// The name of the stream.
        name: String,
        /// The reason.
        source: Box<NatsError>,
    },
    /// JetStream refuses a request.
    #[error("JetStream refuses: {description} ({code})")]
    JetStream {
        /// JetStream's own number of the error.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// There is no connection now. Nothing was sent.
    #[error("there is no connection to NATS")]
    Disconnected,
    /// The server does not read what is sent, and the buffer for it is full. Nothing was sent.
    #[error("the NATS server takes no data")]
    Busy,
    /// The message is larger than the server allows. Nothing was sent.
    #[error("a message of {bytes} bytes is larger than the NATS server allows, {limit} bytes")]
    TooLarge {
        /// The size of the message, with its headers.
        bytes: usize,
        /// The limit of the server.
        limit: usize,
    },
    /// Nobody answers to a subject: JetStream is off, or the stream is missing. The request had no effect.
    #[error("nothing answers at {0}")]
    NoResponders(String),
    /// The connection broke before the answer came. The request may have had its effect.
    #[error("the connection to NATS broke before the answer came")]
    Lost,
    /// No answer came in time. The request may have had its effect.
    #[error("NATS gave no answer in time")]
    NoAnswer,
    /// The server reports an error, such as a missing permission.
    #[error("the NATS server: {0}")]
    Server(Arc<str>),
    /// The server sends what is not the protocol of NATS.
    #[error("the NATS server does not keep to the protocol: {0}")]
    Protocol(&'static str),
}

impl NatsError {
    /// Whether the request had certainly no effect.
    pub(super) fn is_without_effect(&self) -> bool {
        !matches!(self, Self::Lost | Self::NoAnswer | Self::Protocol(_) | Self::Server(_))
    }
}
