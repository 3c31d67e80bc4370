//! Requests between nodes: those of this node to the sessions of others, and those of others to its sessions.

use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, stream};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, timeout_at};

use super::Hub;
use super::joined::Joined;
use crate::cluster::requests::{Answered, asked, forget, question, report, request};
use crate::cluster::{Answers as NodeAnswers, Clustered};
use crate::deadline::after;
use crate::delivery::{NodeId, Recipients, RequestError, Target};
use crate::session::{Answers, Elsewhere, Report, Request};

/// Longest time that a node waits for answers to a request of another node, which may be dead.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Joined {
    /// Asks the sessions of other nodes, in a task of its own: the engine may be away, and sessions of this node answer meanwhile.
    pub(super) fn ask_elsewhere(&self, of: &Recipients, request: &Request, deadline: Instant) -> Elsewhere {
        let (answers, store) = (self.store.await_answers(), self.store.clone());
        let question = question(request, deadline.saturating_duration_since(Instant::now()));
        let (tell, published) = oneshot::channel();
        let (forgotten, told) = oneshot::channel();
        let (of, id) = (of.clone(), answers.id());
        let is_for_one = matches!(of.target, Target::Session(..));
        tokio::spawn(async move {
            let is_published = timeout_at(deadline, store.put(&of, id, &question)).await == Ok(true);
            let _ = tell.send(is_published.then(Instant::now));
            // A request that failed may have reached some nodes.
            if told.await.is_ok() {
                store.put(&of, id, &forget()).await;
            }
        });
        Elsewhere::new(reports(published, answers), forgotten, self.answer_timeout, deadline, is_for_one)
    }
}

/// What is heard of a request.
fn reports(
    mut published: oneshot::Receiver<Option<Instant>>,
    mut answers: NodeAnswers,
) -> impl Stream<Item = Report> + Send {
    let mut is_known = false;
    stream::poll_fn(move |cx| {
        if !is_known && let Poll::Ready(since) = Pin::new(&mut published).poll(cx) {
            is_known = true;
            // Without its task, which has ended with the runtime, nobody was asked.
            return Poll::Ready(Some(Report::Published(since.ok().flatten())));
        }
        loop {
            let Poll::Ready((node, body)) = answers.poll_next(cx) else { return Poll::Pending };
            match report(body) {
                Some(report) => return Poll::Ready(Some(report)),
                None => tracing::debug!(%node, "dropped an answer of another node that cannot be read"),
            }
        }
    })
}

impl Hub {
    /// Asks sessions of this node for another node, in a task of its own.
    pub(super) fn ask_for(&self, store: &Clustered, asking: NodeId, id: u64, of: Recipients, body: Bytes) {
        let Some(joined) = self.joined() else { return };
        let Some((request, timeout)) = request(body) else {
            tracing::debug!(%asking, "a request of another node cannot be read");
            return;
        };
        let deadline = after(Instant::now(), timeout.min(LONGEST));
        let (hub, store) = (self.clone(), store.clone());
        let is_started = joined.foreign.start(asking, id, async move {
            let mut answers = Answers::until(deadline);
            if hub.ask_sessions(&of, &request, &mut answers).await.is_ok() {
                // While answers are awaited the hub may end.
                drop((hub, of, request));
                pass_on(&store, asking, id, answers).await;
            }
        });
        if !is_started {
            tracing::debug!(%asking, "sessions are not asked for another node: too many requests at the same time");
        }
    }

    pub(super) fn forget_request(&self, asking: NodeId, id: u64) {
        if let Some(joined) = self.joined() {
            joined.foreign.forget(asking, id);
        }
    }
}

/// Tells another node which sessions were asked, and then what they answer, as it comes.
async fn pass_on(store: &Clustered, asking: NodeId, id: u64, mut answers: Answers) {
    for body in asked(answers.skipped(), answers.sessions()) {
        store.answer(asking, id, &body).await;
    }
    let mut message = Answered::new();
    loop {
        // One message for all that are there.
        let next = match answers.next().now_or_never() {
            Some(next) => next,
            None => {
                send(store, asking, id, &mut message).await;
                answers.next().await
            }
        };
        // The asking node knows by itself who is late.
        let Some(answered) = next.filter(|answered| answered.answer != Err(RequestError::TimedOut)) else {
            break;
        };
        if let Err(answer) = message.add(answered.session, answered.answer) {
            send(store, asking, id, &mut message).await;
            let _ = message.add(answered.session, answer);
        }
    }
    send(store, asking, id, &mut message).await;
}

async fn send(store: &Clustered, asking: NodeId, id: u64, message: &mut Answered) {
    if let Some(body) = std::mem::replace(message, Answered::new()).body() {
        store.answer(asking, id, &body).await;
    }
}
