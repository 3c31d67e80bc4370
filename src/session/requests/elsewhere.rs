use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::Answered;
use crate::deadline::after;
use crate::delivery::{Answer, Remote, RequestError, SessionId};
use crate::key::Key;

/// What is heard of a request to sessions of other nodes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    /// The engine has the request since then. `None`: it does not have it, or may not have it.
    Published(Option<Instant>),
    /// A node has asked these sessions, and has skipped as many that answer no requests.
    Asked { skipped: usize, sessions: Vec<(SessionId, Key)> },
    /// Sessions have answered.
    Answered(Vec<(SessionId, Result<Answer, RequestError>)>),
}

/// The sessions of other nodes that are asked.
pub(crate) struct Elsewhere {
    reports: BoxStream<'static, Report>,
    /// Tells the other nodes that the request is forgotten.
    forget: Option<oneshot::Sender<()>>,
    window: Window,
    /// Time for the other nodes to say which sessions they ask, and the end of the request.
    answer_timeout: Duration,
    deadline: Instant,
    /// Only one session is asked, wherever it is.
    is_for_one: bool,
    remote: Option<Remote>,
    /// The sessions that were asked. `None` once they have answered: nothing that a node repeats counts.
    sessions: HashMap<SessionId, Option<Key>>,
    waiting: usize,
    ready: VecDeque<Answered>,
    skipped: usize,
}

/// Whether more nodes may say which sessions they ask.
enum Window {
    /// The engine does not have the request yet.
    Unpublished,
    Until(Pin<Box<Sleep>>),
    Closed,
}

impl Elsewhere {
    /// `reports` comes from the other nodes. `forget` gets a value if the request is dropped before its end.
    pub(crate) fn new(
        reports: impl Stream<Item = Report> + Send + 'static,
        forget: oneshot::Sender<()>,
        answer_timeout: Duration,
        deadline: Instant,
        is_for_one: bool,
    ) -> Self {
        Self {
            reports: reports.boxed(),
            forget: Some(forget),
            window: Window::Unpublished,
            answer_timeout,
            deadline,
            is_for_one,
            remote: None,
            sessions: HashMap::new(),
            waiting: 0,
            ready: VecDeque::new(),
            skipped: 0,
        }
    }

    /// The next answer of another node. `None`: no more comes.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answered>> {
        loop {
            if let Some(answered) = self.ready.pop_front() {
                return Poll::Ready(Some(answered));
            }
            match self.reports.poll_next_unpin(cx) {
                Poll::Ready(Some(report)) => self.take(report),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        if let Window::Until(end) = &mut self.window
            && end.as_mut().poll(cx).is_ready()
        {
            self.window = Window::Closed;
        }
        if self.waiting > 0 || !matches!(self.window, Window::Closed) {
            return Poll::Pending;
        }
        self.end();
        Poll::Ready(None)
    }

    /// The timeout has come: the sessions that have not answered are late.
    pub(super) fn time_out(&mut self) {
        self.remote.get_or_insert(Remote::Failed);
        self.window = Window::Closed;
        let late = self.sessions.iter_mut().filter_map(|(id, key)| Some((*id, key.take()?)));
        self.ready.extend(late.map(|(session, key)| Answered {
            session,
            key,
            answer: Err(RequestError::TimedOut),
        }));
        self.waiting = 0;
        self.end();
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Published(Some(since)) => {
                self.remote = Some(Remote::Published);
                if matches!(self.window, Window::Unpublished) {
                    let end = after(since, self.answer_timeout).min(self.deadline);
                    self.window = Window::Until(Box::pin(sleep_until(end)));
                }
            }
            Report::Published(None) => {
                // Some nodes may have got it nevertheless. They are not waited for.
                self.remote = Some(Remote::Failed);
                self.window = Window::Closed;
            }
            Report::Asked { skipped, sessions } => {
                self.skipped = self.skipped.saturating_add(skipped);
                for (id, key) in sessions {
                    self.sessions.entry(id).or_insert_with(|| {
                        self.waiting += 1;
                        Some(key)
                    });
                }
                if self.is_for_one {
                    self.window = Window::Closed;
                }
            }
            Report::Answered(answers) => {
                for (session, answer) in answers {
                    if let Some(key) = self.sessions.get_mut(&session).and_then(Option::take) {
                        self.waiting -= 1;
                        self.ready.push_back(Answered { session, key, answer });
                    }
                }
            }
        }
    }

    /// Nothing is awaited any more: later answers are dropped where they arrive.
    fn end(&mut self) {
        self.forget = None;
        self.reports = stream::empty().boxed();
    }

    pub(super) fn asked(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    pub(super) fn remote(&self) -> Option<Remote> {
        self.remote
    }

    /// Number of answers to come, as far as is known.
    pub(super) fn left(&self) -> usize {
        self.waiting + self.ready.len()
    }

    /// Whether more sessions may turn out to be asked.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.window, Window::Closed)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(forget) = self.forget.take() {
            // Its task may have ended with the runtime.
            let _ = forget.send(());
        }
    }
}
