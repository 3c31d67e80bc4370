//! `watch`: pushes the number of sessions and keys to the sessions that asked, at each change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keywire::frame::Frame;
use keywire::store::Counts;
use keywire::{Envelope, HandlerResult, Hub, Push, Session};

/// Pause before a push, so that many openings make one push.
const PAUSE: Duration = Duration::from_millis(200);

/// The sessions that sent `watch`.
#[derive(Default)]
pub(crate) struct Watchers {
    sessions: Mutex<Vec<Session>>,
    /// Whether a push is due.
    stirred: AtomicBool,
}

impl Watchers {
    /// Replies with the counts, and adds the session.
    pub(crate) async fn watch(self: Arc<Self>, session: Session, _: Envelope) -> HandlerResult {
        let counts = session.hub().counts().await;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if !sessions.contains(&session) {
            sessions.push(session);
        }
        Ok(stats(counts).into())
    }

    /// A session opened or closed.
    pub(crate) fn changed(self: &Arc<Self>, hub: &Hub) {
        if self.stirred.swap(true, Ordering::SeqCst) {
            return;
        }
        let (watchers, hub) = (self.clone(), hub.clone());
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            watchers.stirred.store(false, Ordering::SeqCst);
            let frame = Frame::push(&stats(hub.counts().await));
            let mut sessions = watchers.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.retain(|session| !session.send_frame(&frame).is_gone());
        });
    }
}

fn stats(counts: Counts) -> Push {
    Push::data(counts).with_flag("stats")
}
