//! Drives one socket from open to close.
//!
//! One task owns the socket. In one poll it reads, polls the handler, writes the outbox and checks the timeouts. Senders only
//! touch the outbox and wake the task.

mod backlog;
mod closing;
mod engine;
mod following;
mod handler_call;
mod heartbeat;
mod own;
mod permit;
mod scratch;
mod socket;
mod timers;
mod yield_turn;

use std::future::poll_fn;
use std::mem;
use std::pin::pin;

use futures_util::FutureExt as _;
use futures_util::future::join;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument as _;

use self::engine::Engine;
use self::handler_call::{HandlerCall, Incoming};
pub(crate) use self::permit::{OpeningPermit, SessionPermit};
pub(crate) use self::socket::{Socket, UpgradedSocket};
use crate::close::{Closed, ClosedBy};
use crate::deadline::time_of_day;
use crate::excerpt::Excerpt;
use crate::hub::Hub;
use crate::hub::underway::{Promised, REPLACED};
use crate::limits::SessionPolicy;
use crate::outbox::Outbox;
use crate::refusal::Refusal;
use crate::rejection::Rejection;
use crate::session::Session;
use crate::span;
use crate::store::{Inserted, Removed, StoreError};
use crate::websocket::{CloseCode, Decoder};

/// The arguments of a new session's connection.
pub(crate) struct Arrival {
    pub(crate) upgraded: UpgradedSocket,
    pub(crate) promised: Promised,
}

/// Runs a session to its end.
///
/// Its future is most of the memory of an idle session, so the beginning and the end, which happen once, are boxed.
#[expect(clippy::manual_async_fn, reason = "an `async fn` would hold each argument twice")]
pub(crate) fn run(
    arrival: Box<Arrival>,
    permit: SessionPermit,
    tracked: TaskTrackerToken,
) -> impl Future<Output = ()> + Send + 'static {
    async move {
        let mut registered = Registered { session: permit.session(), inside: Inside::No };
        let begin = Box::pin(begin(arrival, &mut registered).instrument(span::of(permit.session())));
        let begin = Box::pin(permit.session().hub().drain().unless_cut(begin));
        let Some(mut engine) = begin.await.flatten() else { return };
        let mut call = HandlerCall::new(permit.session());
        call.begin(Incoming::Opened);
        let closed = poll_fn(|cx| engine.poll_open(cx, &mut call)).await;
        let end = Box::pin(end(engine, call, registered, closed).instrument(span::of(permit.session())));
        Box::pin(permit.session().hub().drain().unless_cut(end)).await;
        drop(tracked);
    }
}

/// Enters the session into the store. If the session is refused, tells the client and returns `None`.
async fn begin<'a>(arrival: Box<Arrival>, registered: &mut Registered<'a>) -> Option<Box<Engine<'a>>> {
    let Arrival { upgraded, promised } = *arrival;
    let session = registered.session;
    let refusal = registered.enter(promised).await.err();
    let metrics = session.hub().metrics();
    metrics.read(upgraded.early.len());
    let mut engine = Engine::new(upgraded, session);
    if let Some(refusal) = refusal {
        metrics.refused(refusal.rejection);
        refusal.log(session.hub().refusal_log(), session.peer());
        session.outbox().close_now(refused(refusal.rejection));
    }
    let Some(closed) = session.outbox().closing() else { return Some(engine) };
    if let Inside::Yes = registered.inside {
        registered.leave(&closed).await;
    }
    tracing::debug!(session = %session.id(), code = %closed.code, "closed before it began");
    engine.finish(session.hub()).await;
    None
}

async fn end<'a>(
    mut engine: Box<Engine<'a>>,
    mut call: HandlerCall<'a>,
    mut registered: Registered<'_>,
    closed: Closed,
) {
    registered.leave(&closed).await;
    let session = registered.session;
    tracing::debug!(code = %closed.code, by = ?closed.by, "closed");
    if engine.is_unsettled(&call) && session.outbox().takes_replies() {
        // A shutdown that cuts this leaves time for the close frame, see `Drain::unless_cut`.
        let _ = session.hub().drain().unless_cut(pin!(engine.settle(&mut call))).await;
    }
    if engine.has_messages() {
        tracing::debug!(messages = engine.unhandled(), "the session ended before these were handled");
    }
    // The application learns of the end at once, however long the client takes to answer the close frame.
    let close = async {
        if closed.by != ClosedBy::Network {
            engine.finish(session.hub()).await;
        }
        // Closes the socket even if the handler is still running.
        drop(engine);
        session.outbox().end();
    };
    join(close, call.finish(&closed)).await;
}

/// Refuses a session by a close code.
pub(crate) async fn turn_away(upgraded: UpgradedSocket, outbox: &Outbox, hub: &Hub, rejection: Rejection) {
    outbox.close_now(refused(rejection));
    Engine::with(upgraded, Decoder::default(), outbox, hub.config()).finish(hub).await;
}

fn refused(rejection: Rejection) -> Closed {
    Closed::by_server(rejection.close_code(), rejection.kind())
}

/// Removes the session from the store at its end, whatever ends it.
struct Registered<'a> {
    session: &'a Session,
    inside: Inside,
}

/// Whether the store knows the session.
enum Inside {
    No,
    /// A call to insert or to remove it has not returned.
    Perhaps,
    Yes,
}

impl Registered<'_> {
    /// Inserts the session into the store, or refuses it for a reason that has come up since the opening was accepted. A
    /// session that was closed meanwhile is not refused, but closed.
    async fn enter(&mut self, promised: Promised) -> Result<(), Refusal> {
        let session = self.session;
        let hub = session.hub();
        if promised.is_late(hub.config().upgrade_timeout) {
            let why = "the client did not take its connection in time. Setting: Config::upgrade_timeout";
            return Err(Refusal::new(Rejection::Unavailable, why));
        }
        if session.expires_at().is_some_and(|end| end <= time_of_day()) {
            return Err(Refusal::new(Rejection::Expired, "the credential expired on the way in"));
        }
        let policy = hub.config().policy;
        let _entrance = match policy {
            SessionPolicy::Replace => Some(hub.underway().one_by_one(session.key()).await),
            SessionPolicy::Many { .. } | SessionPolicy::Reject => None,
        };
        if !session.is_open() {
            return Ok(());
        }
        self.inside = Inside::Perhaps;
        let insert = || hub.store().insert(session.clone(), policy);
        let Ok(inserted) = hub.ask_store("insert", insert).await else {
            return Err(Refusal::new(Rejection::Unavailable, "the session store failed"));
        };
        match inserted {
            Ok(Inserted { replaced, first }) => {
                hub.metrics().opened(first);
                hub.touch_presence(session.key());
                for former in replaced {
                    former.close(CloseCode::REPLACED, REPLACED);
                }
            }
            Err(StoreError::TooMany) => return Err(hub.full(session.key()).await),
            Err(StoreError::Refused(rejection)) => {
                let why = format!("the store says: {rejection}. Setting: HubBuilder::store");
                return Err(Refusal::new(rejection, why));
            }
            Err(StoreError::Unavailable(error)) => {
                let error = error.to_string();
                span::of_error(session)
                    .in_scope(|| tracing::error!(error = %Excerpt(&error), "session store unavailable"));
                return Err(Refusal::new(Rejection::Unavailable, "the session store is unavailable"));
            }
        }
        self.inside = Inside::Yes;
        // Only after the insertion, so that an order finds the session in one of the two places.
        drop(promised);
        if policy == SessionPolicy::Replace {
            hub.underway().replace(session);
        }
        // A shutdown that began after the opening was accepted has not seen this session.
        if hub.drain().has_begun() {
            session.close(CloseCode::DRAIN, "0");
        }
        tracing::debug!("opened");
        Ok(())
    }

    /// Removes the session from the store.
    async fn leave(&mut self, closed: &Closed) {
        // First: the handler may be waiting for an answer, and the store may hang.
        self.session.end_requests();
        let counted = self.ended(closed);
        remove(self.session, counted).await;
        self.inside = Inside::No;
        permit::release(self.session);
        // Answers those that wait for a sign of life.
        self.session.hub().answers().notify_waiters();
    }

    /// Counts a session that was counted as opened as closed, once. Returns whether it is counted now.
    fn ended(&mut self, closed: &Closed) -> bool {
        let counted = matches!(mem::replace(&mut self.inside, Inside::Perhaps), Inside::Yes);
        if counted {
            self.session.hub().metrics().closed(closed);
        }
        counted
    }
}

/// Takes a session out of the store. Of one that is counted in the metrics its key is counted as well.
async fn remove(session: &Session, counted: bool) {
    let hub = session.hub();
    let removed = hub.ask_store("remove", || hub.store().remove(session)).await;
    hub.touch_presence(session.key());
    match removed {
        Ok(Removed { last }) if counted && last => hub.metrics().key_left(),
        Ok(_) => {}
        // The failure is logged.
        Err(_) => recount_keys(hub),
    }
}

/// Counts the keys again after a failed call, which has not said whether one has left. In a task of its own, since the store may
/// still hang and the client waits for its close frame.
fn recount_keys(hub: &Hub) {
    if cfg!(feature = "metrics")
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        let hub = hub.clone();
        runtime.spawn(async move { hub.metrics().keys(hub.counts().await.keys) });
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.session.outbox().end();
        self.session.timer().stop();
        self.session.end_requests();
        if let Inside::No = self.inside {
            return;
        }
        // The connection ended by a panic or with its runtime. This is the last chance to remove it.
        let counted = self.ended(&Closed::by_server(CloseCode::ABNORMAL, ""));
        let session = self.session.clone();
        let mut remove = Box::pin(async move { remove(&session, counted).await });
        // A store in memory is ready at once. Another continues in a task, if there is still a runtime.
        if (&mut remove).now_or_never().is_none()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(remove);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_a_small_task() {
        fn size<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        // With the runtime's own part the task is an allocation of 256 bytes, as it would be up to 144 bytes.
        let stopwatch = if cfg!(feature = "metrics") { 8 } else { 0 };
        assert!(size(run) <= 128 + stopwatch, "{} bytes", size(run));
    }
}
