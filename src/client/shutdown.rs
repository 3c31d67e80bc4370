use tokio_util::sync::CancellationToken;

/// Signals that end the client.
pub(super) struct Shutdown {
    /// The application has closed the client.
    pub(super) requested: CancellationToken,
    /// All handles are dropped.
    pub(super) no_handles: CancellationToken,
    /// The events are dropped.
    pub(super) no_events: CancellationToken,
}

impl Shutdown {
    /// Ready when the client must end.
    pub(super) async fn begun(&self) {
        tokio::select! {
            () = self.requested.cancelled() => {}
            () = async {
                self.no_handles.cancelled().await;
                self.no_events.cancelled().await;
            } => {}
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.requested.is_cancelled() || (self.no_handles.is_cancelled() && self.no_events.is_cancelled())
    }
}
