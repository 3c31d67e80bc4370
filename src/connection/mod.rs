//! Drives one socket from open to close.
//!
//! One task owns the socket. It reads, lets the handler work, writes what waits in the outbox and keeps the
//! time, all in one poll; whoever sends to the session only touches the outbox and wakes it.

mod backlog;
mod calls;
mod closing;
mod engine;
mod permit;
mod pulse;
mod refresh;
mod scratch;
mod socket;
mod tick;
mod yield_turn;

use std::future::poll_fn;
use std::mem;
use std::time::SystemTime;

use futures_util::FutureExt as _;
use futures_util::future::join;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument as _;

use self::calls::{Calls, Incoming};
use self::engine::Engine;
pub(crate) use self::permit::{OpeningPermit, SessionPermit};
pub(crate) use self::socket::Socket;
use crate::close::{Closed, ClosedBy};
use crate::config::{Config, SessionPolicy};
use crate::excerpt::Excerpt;
use crate::outbox::Outbox;
use crate::refusal::Refusal;
use crate::rejection::Rejection;
use crate::session::Session;
use crate::span;
use crate::store::StoreError;
use crate::underway::{Promised, REPLACED};
use crate::websocket::{CloseCode, Decoder};

/// The socket, and the bytes that the HTTP side has read already.
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) early: Vec<u8>,
}

/// What a session begins with.
pub(crate) struct Arrival {
    pub(crate) wire: Wire,
    pub(crate) promised: Promised,
}

/// Runs a session to its end.
///
/// Its future is most of what an idle session costs, so what happens only once, at the beginning and at the
/// end, is boxed.
#[expect(clippy::manual_async_fn, reason = "an `async fn` would hold each argument twice")]
pub(crate) fn run(
    arrival: Box<Arrival>,
    permit: SessionPermit,
    tracked: TaskTrackerToken,
) -> impl Future<Output = ()> + Send + 'static {
    async move {
        let mut registered = Registered { session: permit.session(), inside: Inside::No };
        let drain = permit.session().hub().drain();
        let begin = begin(arrival, &mut registered).instrument(span::of(permit.session()));
        let Some(Some(mut engine)) = Box::pin(drain.unless_cut(begin)).await else { return };
        let mut calls = Calls::new(permit.session());
        calls.begin(Incoming::Opened);
        let closed = poll_fn(|cx| engine.poll_open(cx, &mut calls)).await;
        let end = end(engine, calls, registered, closed).instrument(span::of(permit.session()));
        Box::pin(drain.unless_cut(end)).await;
        drop(tracked);
    }
}

/// Enters the session into the store. If it may not, says so to the client, and that is all.
async fn begin<'a>(arrival: Box<Arrival>, registered: &mut Registered<'a>) -> Option<Engine<'a>> {
    let Arrival { wire, promised } = *arrival;
    let session = registered.session;
    let refusal = registered.enter(promised).await.err();
    let metrics = session.hub().metrics();
    metrics.read(wire.early.len());
    let mut engine = Engine::new(wire, session);
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
    engine.finish().await;
    None
}

async fn end<'a>(
    mut engine: Engine<'a>,
    mut calls: Calls<'a>,
    mut registered: Registered<'_>,
    closed: Closed,
) {
    registered.leave(&closed).await;
    let session = registered.session;
    tracing::debug!(code = %closed.code, by = ?closed.by, "closed");
    if engine.has_unfinished(&calls) && session.outbox().takes_replies() {
        // A shutdown that cuts this short leaves time for the close frame, see `Drain::unless_cut`.
        let _ = session.hub().drain().unless_cut(engine.settle(&mut calls)).await;
    }
    if engine.has_messages() {
        tracing::debug!(messages = engine.unhandled(), "the session ended before these were handled");
    }
    // The application learns of the end at once, however long the peer takes to answer the close frame.
    let close = async {
        if closed.by != ClosedBy::Network {
            engine.finish().await;
        }
        // The socket is closed even if a handler is still at work.
        drop(engine);
        session.outbox().end();
    };
    join(close, calls.finish(&closed)).await;
}

/// Says over an open connection why there will be no session.
pub(crate) async fn turn_away(wire: Wire, outbox: &Outbox, config: &Config, rejection: Rejection) {
    outbox.close_now(refused(rejection));
    Engine::with(wire, Decoder::default(), outbox, config).finish().await;
}

fn refused(rejection: Rejection) -> Closed {
    Closed::by_server(rejection.close_code(), rejection.kind())
}

/// Sees to it that the session is out of the store at the end, whatever the end is.
struct Registered<'a> {
    session: &'a Session,
    inside: Inside,
}

/// Whether the store knows the session.
enum Inside {
    No,
    /// It was asked to take it in or to take it out, and has not answered.
    Perhaps,
    Yes,
}

impl Registered<'_> {
    /// Puts the session into the store, unless something speaks against it that the opening was not refused for, since it
    /// was not so then. A session that was closed on its way is not refused, but closed.
    async fn enter(&mut self, promised: Promised) -> Result<(), Refusal> {
        let session = self.session;
        let hub = session.hub();
        if promised.is_late(hub.config().upgrade_timeout) {
            let why = "the client did not take its connection in time. Setting: Config::upgrade_timeout";
            return Err(Refusal::new(Rejection::Unavailable, why));
        }
        if session.expires_at().is_some_and(|end| end <= SystemTime::now()) {
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
            Ok(replaced) => {
                for former in replaced {
                    former.close(CloseCode::REPLACED, REPLACED);
                }
            }
            Err(StoreError::Full) => return Err(hub.full(session.key()).await),
            Err(StoreError::Unavailable(error)) => {
                let error = error.to_string();
                span::of_error(session)
                    .in_scope(|| tracing::error!(error = %Excerpt(&error), "session store unavailable"));
                return Err(Refusal::new(Rejection::Unavailable, "the session store is unavailable"));
            }
        }
        self.inside = Inside::Yes;
        hub.metrics().opened(session.key());
        // Only now, when the store knows the session: an order that misses it in one place finds it in the other.
        drop(promised);
        if policy == SessionPolicy::Replace {
            hub.underway().replace(session);
        }
        // A shutdown that began after the opening was let in has not seen this session.
        if hub.drain().has_begun() {
            session.close(CloseCode::DRAIN, "0");
        }
        tracing::debug!("opened");
        Ok(())
    }

    /// Takes it out again.
    async fn leave(&mut self, closed: &Closed) {
        self.ended(closed);
        remove(self.session).await;
        self.inside = Inside::No;
        permit::release(self.session);
        // Whoever has asked whether it lives has the answer.
        self.session.hub().answers().notify_waiters();
    }

    /// What has been counted as opened is counted as closed, once.
    fn ended(&mut self, closed: &Closed) {
        if let Inside::Yes = mem::replace(&mut self.inside, Inside::Perhaps) {
            self.session.hub().metrics().closed(self.session.key(), closed);
        }
    }
}

async fn remove(session: &Session) {
    let hub = session.hub();
    // That it failed is logged, and there is nothing else to be done about it.
    let _ = hub.ask_store("remove", || hub.store().remove(session)).await;
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.session.outbox().end();
        if let Inside::No = self.inside {
            return;
        }
        // The connection ended by a panic or because its runtime goes away: this is the last occasion.
        self.ended(&Closed::by_server(CloseCode::ABNORMAL, ""));
        let session = self.session.clone();
        let mut remove = Box::pin(async move { remove(&session).await });
        // Stores in memory are done at once. Others go on where there is a runtime left to go on in.
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
        // With the runtime's own part the task is a block of 384 bytes, and would be up to 272 bytes.
        let stopwatch = if cfg!(feature = "metrics") { 8 } else { 0 };
        assert!(size(run) <= 240 + stopwatch, "{} bytes", size(run));
    }
}
