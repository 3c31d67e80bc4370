use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{InFlight, Request, Session};
use crate::delivery::{Answer, RequestError, SessionId};
use crate::key::Key;

/// The answers to a request to several sessions, in the order in which they come: the stream of
/// [`Hub::request`](crate::Hub::request).
///
/// There is one item for each session whose client answers requests. The stream ends after the last of them, at the timeout at the
/// latest: sessions that have not answered by then have a [`RequestError::TimedOut`].
///
/// Dropping it forgets the request: later answers are ignored.
pub struct Answers {
    tell: UnboundedSender<Answered>,
    /// Bounded by the number of sessions: each gets one result.
    told: UnboundedReceiver<Answered>,
    /// The sessions that have not answered.
    waiting: HashMap<SessionId, (Key, InFlight)>,
    /// The sessions that did not take the request.
    failed: Vec<Answered>,
    timer: Pin<Box<Sleep>>,
    asked: usize,
    skipped: usize,
}

/// The answer of one session to a request to several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// The id of the session.
    pub session: SessionId,
    /// The key of the session.
    pub key: Key,
    /// Its answer, or why there is none.
    pub answer: Result<Answer, RequestError>,
}

impl Answers {
    pub(crate) fn until(deadline: Instant) -> Self {
        let (tell, told) = unbounded_channel();
        let timer = Box::pin(sleep_until(deadline));
        Self { tell, told, waiting: HashMap::new(), failed: Vec::new(), timer, asked: 0, skipped: 0 }
    }

    /// Asks one more session.
    pub(crate) fn ask(&mut self, session: &Session, request: &Request) {
        let (id, key, tell) = (session.id(), session.key().clone(), self.tell.clone());
        let answered = Answered { session: id, key: key.clone(), answer: Err(RequestError::Ended) };
        let waiter = Box::new(move |answer| {
            // The stream may have been dropped meanwhile.
            let _ = tell.send(Answered { answer, ..answered });
        });
        match session.ask(request, waiter) {
            Ok(in_flight) => _ = self.waiting.insert(id, (key, in_flight)),
            Err(RequestError::Unsupported) => {
                self.skipped += 1;
                return;
            }
            Err(error) => self.failed.push(Answered { session: id, key, answer: Err(error) }),
        }
        self.asked += 1;
    }

    /// Number of sessions that this stream has an item for: those of the recipients whose clients answer requests.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Number of recipients that were not asked, since their clients answer no requests.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The next answer. `None` after the last.
    ///
    /// # Cancel safety
    ///
    /// No answer is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Answered> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Answers {
    type Item = Answered;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answered>> {
        if let Some(failed) = self.failed.pop() {
            return Poll::Ready(Some(failed));
        }
        while let Poll::Ready(Some(answered)) = self.told.poll_recv(cx) {
            // An answer that came in the moment of the timeout is too late.
            if self.waiting.remove(&answered.session).is_some() {
                return Poll::Ready(Some(answered));
            }
        }
        let Some(&session) = self.waiting.keys().next() else { return Poll::Ready(None) };
        ready!(self.timer.as_mut().poll(cx));
        let late = self.waiting.remove(&session);
        Poll::Ready(late.map(|(key, _)| Answered { session, key, answer: Err(RequestError::TimedOut) }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.waiting.len() + self.failed.len();
        (left, Some(left))
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("asked", &self.asked).finish_non_exhaustive()
    }
}
