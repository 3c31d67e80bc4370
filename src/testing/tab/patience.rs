use std::time::Duration;

use tokio::time::timeout;

/// Waits, with a timeout.
pub(super) async fn within<F: Future>(what: &str, event: F) -> F::Output {
    match timeout(PATIENCE, event).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Longer than the timeouts of a hub's defaults. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
