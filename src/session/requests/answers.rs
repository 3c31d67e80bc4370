use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Answered, Elsewhere, InFlight, Request, Session};
use crate::delivery::{Remote, RequestError, SessionId};
use crate::key::Key;

/// The answers to a request to several sessions, in the order in which they come: the stream of
/// [`Hub::request`](crate::Hub::request).
///
/// There is one item for each session whose client answers requests. The stream ends after the last of them, at the timeout at the
/// latest: sessions that have not answered by then have a [`RequestError::TimedOut`].
///
/// In a cluster the other nodes say which sessions they ask. They have
/// [`Cluster::answer_timeout`](crate::cluster::Cluster::answer_timeout) for that, and the stream does not end before. A node that says
/// nothing in this time has no items.
///
/// Dropping it forgets the request, on all nodes: later answers are ignored.
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
    /// The sessions of other nodes, if there are any to ask.
    elsewhere: Option<Box<Elsewhere>>,
}

impl Answers {
    pub(crate) fn until(deadline: Instant) -> Self {
        let (tell, told) = unbounded_channel();
        let timer = Box::pin(sleep_until(deadline));
        let (waiting, failed) = (HashMap::new(), Vec::new());
        Self { tell, told, waiting, failed, timer, asked: 0, skipped: 0, elsewhere: None }
    }

    /// Asks sessions of other nodes as well.
    pub(crate) fn also(&mut self, elsewhere: Elsewhere) {
        self.elsewhere = Some(Box::new(elsewhere));
    }

    /// The sessions of this node that were asked.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (SessionId, &Key)> {
        let waiting = self.waiting.iter().map(|(id, (key, _))| (*id, key));
        waiting.chain(self.failed.iter().map(|failed| (failed.session, &failed.key)))
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

    /// Number of sessions that this stream has an item for: those of the recipients whose clients answer requests. In a cluster it
    /// grows while the stream is read, since the other nodes say which sessions they ask.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked + self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.asked())
    }

    /// Number of recipients that were not asked, since their clients answer no requests. Grows as [`Answers::asked`] does.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped + self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.skipped())
    }

    /// Whether the request was published to the other nodes of the cluster. [`Remote::None`]: there are no sessions to ask there.
    /// `None`: not known yet. At the end of the stream it is known.
    #[must_use]
    pub fn remote(&self) -> Option<Remote> {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.remote(),
            None => Some(Remote::None),
        }
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
        let ended = match &mut self.elsewhere {
            Some(elsewhere) => match elsewhere.poll_next(cx) {
                Poll::Ready(Some(answered)) => return Poll::Ready(Some(answered)),
                ended => ended.is_ready(),
            },
            None => true,
        };
        let late = self.waiting.keys().next().copied();
        if late.is_none() && ended {
            return Poll::Ready(None);
        }
        ready!(self.timer.as_mut().poll(cx));
        let late = late.and_then(|session| Some((session, self.waiting.remove(&session)?)));
        match (late, &mut self.elsewhere) {
            (Some((session, (key, _))), _) => {
                Poll::Ready(Some(Answered { session, key, answer: Err(RequestError::TimedOut) }))
            }
            (None, Some(elsewhere)) => {
                elsewhere.time_out();
                elsewhere.poll_next(cx)
            }
            (None, None) => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.waiting.len() + self.failed.len();
        match &self.elsewhere {
            Some(elsewhere) if elsewhere.is_open() => (left + elsewhere.left(), None),
            Some(elsewhere) => (left + elsewhere.left(), Some(left + elsewhere.left())),
            None => (left, Some(left)),
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("asked", &self.asked).finish_non_exhaustive()
    }
}
