use std::pin::pin;
use std::task::Context;

/// Has the task polled again when all others have had their turn, and the runtime has looked for what came in meanwhile: it
/// does so only after 61 polls where tasks wake themselves.
pub(super) fn yield_turn(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
