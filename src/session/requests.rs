//! Requests to the client of a session.

mod answered;
mod answers;
mod elsewhere;
mod pending;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time;

pub use self::answered::Answered;
pub use self::answers::Answers;
pub(crate) use self::elsewhere::{Elsewhere, Report};
use self::pending::{InFlight, Pending, Waiter};
use super::Session;
use crate::deadline::finite;
use crate::delivery::{Answer, Outcome, RequestError, RequestId};
use crate::frame::Frame;
use crate::handshake::Dialect;
use crate::message::Push;

/// A push that clients must answer, encoded once for all of them.
pub(crate) struct Request {
    id: RequestId,
    frame: Frame,
}

impl Request {
    pub(crate) fn new(push: Push) -> Result<Self, RequestError> {
        match &push.flag {
            None => {
                return Err(RequestError::Invalid("the push has no flag, by which a page finds its handler"));
            }
            Some(flag) if flag.is_reserved() => {
                return Err(RequestError::Invalid("the flag of the push is reserved for keywire"));
            }
            Some(_) => {}
        }
        let id = RequestId::next();
        let push = push.with_id(id.into());
        let frame = Frame::text_of(push.plain_request_len(), |bytes| push.write_request(bytes));
        Ok(Self { id, frame })
    }

    /// A request of another node.
    pub(crate) fn from_parts(id: RequestId, frame: Frame) -> Self {
        Self { id, frame }
    }

    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }
}

/// Requests.
impl Session {
    /// Asks the client, and waits for its answer.
    ///
    /// The push needs a flag, by which the client finds its handler: `wire.answer(flag, …)` in keywire.js,
    /// `ClientBuilder::answer` in Rust. keywire sets the push's id. Only clients of keywire can be asked, see
    /// [`Session::can_be_asked`].
    ///
    /// A handler may ask its own client: answers are taken while a handler runs, ahead of up to 256 KiB of messages that wait for it.
    /// Choose a timeout below [`Config::handler_timeout`](crate::Config::handler_timeout) there.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use keywire::{Envelope, HandlerResult, Push, Reply, Session};
    ///
    /// async fn pay(session: Session, envelope: Envelope) -> HandlerResult {
    ///     let question = Push::message("Pay 3 €?").with_flag("confirm").with_json(envelope.body);
    ///     let answer = session.request(question, Duration::from_secs(20)).await?;
    ///     Ok(Reply::ok(if answer.body::<bool>()? { "paid" } else { "not paid" }))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RequestError`] says why there is no answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the request: a later answer is ignored. The client may have got the request.
    pub async fn request(&self, push: Push, timeout: Duration) -> Result<Answer, RequestError> {
        let request = Request::new(push)?;
        let (answer, answered) = oneshot::channel();
        // The client may have gone meanwhile, which is no error here.
        let waiter = Box::new(|result| _ = answer.send(result));
        let _in_flight = self.ask(&request, waiter)?;
        match time::timeout(finite(timeout), answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(RequestError::Ended),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// Whether the client answers requests: it offered the subprotocols `keywire.v1` and `answers.keywire`, as keywire.js does.
    #[must_use]
    pub fn can_be_asked(&self) -> bool {
        self.0.dialect == Dialect::V1Answering
    }

    /// Sends a request. `waiter` gets the result, unless the returned handle is dropped first.
    pub(crate) fn ask(&self, request: &Request, waiter: Waiter) -> Result<InFlight, RequestError> {
        if !self.can_be_asked() {
            return Err(RequestError::Unsupported);
        }
        if !self.is_open() {
            return Err(RequestError::Ended);
        }
        let pending = self.state().extensions.get_or_insert_default::<Arc<Pending>>().clone();
        let in_flight = pending.begin(request.id, waiter)?;
        // Only after the request is pending: the answer may come at once, and so may the end of the session. A session that takes
        // the request has not ended yet, so its end finds the request.
        match self.send_frame(&request.frame) {
            Outcome::Accepted | Outcome::Displaced(_) => {}
            Outcome::Gone => return Err(RequestError::Ended),
            outcome @ (Outcome::Slow | Outcome::Dropped(_)) => {
                return Err(RequestError::Undelivered(outcome));
            }
        }
        // A connection that has read far enough ahead reads further now.
        self.0.outbox.wake();
        Ok(in_flight)
    }

    /// Whether requests wait for answers of the client.
    pub(crate) fn awaits_answers(&self) -> bool {
        self.can_be_asked() && self.pending().is_some_and(|pending| !pending.is_empty())
    }

    /// Takes the request that waits for the answer with this id, if there is one.
    pub(crate) fn take_waiter(&self, id: RequestId) -> Option<Waiter> {
        self.pending()?.take(id)
    }

    /// No answer comes any more. Called at the end of the session, after it has been closed.
    pub(crate) fn end_requests(&self) {
        if let Some(pending) = self.can_be_asked().then(|| self.pending()).flatten() {
            pending.end();
        }
    }

    fn pending(&self) -> Option<Arc<Pending>> {
        self.state().extensions.get::<Arc<Pending>>().cloned()
    }
}
