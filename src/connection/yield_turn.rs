use std::pin::pin;
use std::task::Context;

/// Wakes the task after all others have had a turn and the runtime has polled for I/O. If tasks woke themselves, the runtime
/// would poll for I/O only every 61 polls.
pub(super) fn yield_turn(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
