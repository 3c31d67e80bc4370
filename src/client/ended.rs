use crate::websocket::CloseCode;

/// How a connection or an attempt ended.
pub(super) struct Ended {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

impl Ended {
    /// Ended without a close frame.
    pub(super) fn lost() -> Self {
        Self { code: CloseCode::ABNORMAL, reason: String::new() }
    }

    /// Ended by the client.
    pub(super) fn closed() -> Self {
        Self { code: CloseCode::NORMAL, reason: String::new() }
    }
}
