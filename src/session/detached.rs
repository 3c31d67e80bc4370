use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use serde::Serialize;

use super::Session;
use crate::auth::extract_fn;
use crate::close::Closed;
use crate::delivery::{Answer, RequestError, RequestId};
use crate::frame::{self, FrameKind};
use crate::handshake::{Dialect, Handshake};
use crate::hub::Hub;
use crate::key::Identity;
use crate::message::{Json, Push};
use crate::rejection::Rejection;
use crate::text::{Text, cut};

/// For tests.
impl Session {
    /// A session without a connection, to test a handler. [`Sent`] stands in for the client. The session has its own hub.
    ///
    /// Messages go through the same queue and encoding as in an open session. The session is in no store, so the hub does not find
    /// it, and it cannot join groups. For tests of that, of several sessions, or of their end: `testing::Tab`, with the feature
    /// `testing`.
    ///
    /// ```
    /// use keywire::{Envelope, HandlerResult, Identity, Key, Push, Reply, Session};
    ///
    /// async fn mine(session: Session, envelope: Envelope) -> HandlerResult {
    ///     session.send(Push::data(envelope.parse::<u8>()?));
    ///     Ok(Reply::ok("mining"))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (session, mut sent) = Session::detached(Identity::new(Key::new("alice")?));
    /// let envelope = Envelope::new(session.key(), "command", 7);
    /// let reply = mine(session, envelope).await.expect("a reply");
    /// assert_eq!(reply.as_push(), Some(&Push::message("mining")));
    /// assert_eq!(sent.pushes(), [Push::data(7)]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn detached(identity: Identity) -> (Self, Sent) {
        let nobody = extract_fn(|_: Handshake| async { Err(Rejection::Missing) });
        Self::detached_on(&Hub::builder(nobody).build(), identity)
    }

    /// [`Session::detached`] on an existing hub, with the limits of that hub. The hub finds the session once it is in the hub's
    /// store:
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use keywire::auth::RawKey;
    /// use keywire::limits::SessionPolicy;
    /// use keywire::store::MemoryStore;
    /// use keywire::{Hub, Identity, Key, Push, Session, SessionStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Arc::new(MemoryStore::new());
    /// let hub = Hub::builder(RawKey::from_path()).store(store.clone()).build();
    /// let (bob, mut sent) = Session::detached_on(&hub, Identity::new(Key::new("bob")?));
    /// store.insert(bob, SessionPolicy::Replace).await?;
    ///
    /// hub.send_to("bob", Push::message("hi")).await;
    /// assert_eq!(sent.next().await, Some(Push::message("hi")));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn detached_on(hub: &Hub, identity: Identity) -> (Self, Sent) {
        let id = super::SessionId::next();
        let session = Self::with_id(id, hub.clone(), identity, None, Dialect::V1Answering, false, None);
        let sent = Sent { session: session.clone(), written: Vec::new(), frames: VecDeque::new() };
        (session, sent)
    }
}

/// The messages to a [detached](Session::detached) session, in order, and whether the session was closed.
///
/// The queue is bounded like that of a connection: if more than [`Config::queue_messages`](crate::Config::queue_messages) messages
/// wait in it, the session is closed as a slow client.
pub struct Sent {
    session: Session,
    /// The bytes that a socket would have taken.
    written: Vec<u8>,
    frames: VecDeque<SentFrame>,
}

/// The content of one message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SentFrame {
    /// A text frame: a push as JSON, or [`Frame::text`](crate::message::Frame::text).
    Text(Text),
    /// A binary frame.
    Binary(Bytes),
}

impl Sent {
    /// Takes out all pushes sent so far.
    ///
    /// # Panics
    ///
    /// If a sent frame is not a push. [`Sent::frames`] accepts any frame.
    pub fn pushes(&mut self) -> Vec<Push> {
        self.frames().into_iter().map(SentFrame::into_push).collect()
    }

    /// Takes out all frames sent so far.
    pub fn frames(&mut self) -> Vec<SentFrame> {
        self.flush();
        self.frames.drain(..).collect()
    }

    /// Takes out the next push. Waits for one while the session is open. `None`: the session is closed and no push is left.
    ///
    /// # Panics
    ///
    /// If the next frame is not a push. [`Sent::next_frame`] accepts any frame.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped nothing is lost.
    pub async fn next(&mut self) -> Option<Push> {
        self.next_frame().await.map(SentFrame::into_push)
    }

    /// Takes out the next frame. Waits for one while the session is open. `None`: the session is closed and no frame is left.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped nothing is lost.
    pub async fn next_frame(&mut self) -> Option<SentFrame> {
        poll_fn(|cx| {
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Some(frame));
            }
            let rest = self.session.outbox().poll_rest(cx, Some(Pin::new(&mut self.written)));
            // This call does not write for a session that ends, see `Outbox::poll_rest`.
            self.flush();
            match (self.frames.pop_front(), rest) {
                (None, Poll::Ready(Ok(None)) | Poll::Pending) => Poll::Pending,
                (None, _) => {
                    self.session.end_requests();
                    Poll::Ready(None)
                }
                (next, _) => Poll::Ready(next),
            }
        })
        .await
    }

    /// Answers a [request](Session::request), as the page would. `false`: nobody waits for this answer.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use keywire::{Envelope, HandlerResult, Identity, Key, Push, Reply, Session};
    ///
    /// async fn pay(session: Session, _: Envelope) -> HandlerResult {
    ///     let question = Push::message("Pay 3 €?").with_flag("confirm");
    ///     let answer = session.request(question, Duration::from_secs(20)).await?;
    ///     Ok(Reply::ok(if answer.body::<bool>()? { "paid" } else { "not paid" }))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (session, mut sent) = Session::detached(Identity::new(Key::new("alice")?));
    /// let paying = tokio::spawn(pay(session.clone(), Envelope::new(session.key(), "pay", 3)));
    /// let question = sent.next().await.expect("a question");
    /// assert_eq!(question.msg, "Pay 3 €?");
    /// assert!(sent.answer(&question, true));
    /// let reply = paying.await?.expect("a reply");
    /// assert_eq!(reply.as_push(), Some(&Push::message("paid")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If `body` cannot be JSON. See [`Json::new`].
    pub fn answer(&mut self, request: &Push, body: impl Serialize) -> bool {
        let body = Json::new(&body).unwrap_or_else(|error| panic!("body of an answer must be JSON: {error}"));
        self.settle(request, Ok(Answer::new(body)))
    }

    /// Answers a [request](Session::request) with an error, as the page would. `false`: nobody waits for this answer.
    pub fn fail(&mut self, request: &Push, error: &str) -> bool {
        let error = cut(error, RequestError::MAX_BYTES).into();
        self.settle(request, Err(RequestError::Failed(error)))
    }

    fn settle(&mut self, request: &Push, result: Result<Answer, RequestError>) -> bool {
        let id = request.id.as_ref().and_then(RequestId::of);
        let waiter = id.and_then(|id| self.session.take_waiter(id));
        waiter.map(|waiter| waiter(result)).is_some()
    }

    /// How the session was closed. `None`: the session is open.
    ///
    /// ```
    /// use keywire::session::{CloseCode, Closed, ClosedBy};
    /// use keywire::{Identity, Key, Session};
    ///
    /// let (session, sent) = Session::detached(Identity::new(Key::new("alice")?));
    /// assert_eq!(sent.closed(), None);
    /// session.close(CloseCode::POLICY, "rude");
    /// assert_eq!(sent.closed(), Some(Closed::new(CloseCode::POLICY, "rude", ClosedBy::Server)));
    /// # Ok::<(), keywire::auth::InvalidKey>(())
    /// ```
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.session.outbox().closing()
    }

    /// Takes the bytes that a socket would take now.
    fn flush(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        // A write to a `Vec` never waits.
        let _ = self.session.outbox().poll_flush(cx, Some(Pin::new(&mut self.written)));
        for (kind, payload) in frame::data_messages(&self.written) {
            self.frames.push_back(match kind {
                FrameKind::Text => SentFrame::Text(String::from_utf8_lossy(payload).into_owned().into()),
                FrameKind::Binary => SentFrame::Binary(Bytes::copy_from_slice(payload)),
            });
        }
        self.written.clear();
    }
}

impl SentFrame {
    fn into_push(self) -> Push {
        let push = match &self {
            Self::Text(text) => Push::read(text),
            Self::Binary(_) => None,
        };
        push.unwrap_or_else(|| panic!("a frame that is not a push was sent: {self:?}"))
    }
}

impl Drop for Sent {
    /// The client has gone: requests get no answers any more.
    fn drop(&mut self) {
        self.session.end_requests();
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("session", &self.session).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::RawKey;
    use crate::close::ClosedBy;
    use crate::delivery::Outcome;
    use crate::frame::Frame;
    use crate::key::Key;
    use crate::limits::Config;
    use crate::message::MessageId;
    use crate::websocket::CloseCode;

    fn alice() -> Identity {
        Identity::new(Key::new("alice").unwrap())
    }

    fn all_fields() -> Push {
        Push::new("17", "a \"text\"")
            .with_data([1, 2])
            .with_flag("inform")
            .with_sender(&Key::new("zoë").unwrap())
            .with_id(MessageId::Text("7".into()))
    }

    #[test]
    fn pushes_come_out_as_they_went_in() {
        let (session, mut sent) = Session::detached(alice());
        let pushes =
            [Push::message(""), all_fields(), Push::data(()), Push::message("x").with_json(Json::NULL)];
        for push in &pushes {
            assert_eq!(session.send(push.clone()), Outcome::Accepted);
        }
        session.send_frame(&Frame::burst(&pushes));
        assert_eq!(sent.pushes(), [&pushes[..], &pushes[..]].concat());
        assert_eq!(sent.pushes(), []);
    }

    #[test]
    fn raw_frames_come_out_and_control_frames_do_not() {
        let (session, mut sent) = Session::detached(alice());
        session.send_frame(&Frame::text("{}"));
        session.outbox().ping();
        session.send_frame(&Frame::binary(&[7; 70_000]));
        let expected = [SentFrame::Text("{}".into()), SentFrame::Binary(vec![7; 70_000].into())];
        assert_eq!(sent.frames(), expected);
    }

    #[test]
    #[should_panic(expected = "a frame that is not a push was sent: Text(\"{}\")")]
    fn a_raw_frame_is_no_push() {
        let (session, mut sent) = Session::detached(alice());
        session.send_frame(&Frame::text("{}"));
        sent.pushes();
    }

    #[tokio::test]
    async fn the_next_is_waited_for_until_the_end() {
        let (session, mut sent) = Session::detached(alice());
        let task = tokio::spawn(async move {
            for number in 0..3 {
                tokio::task::yield_now().await;
                session.send(Push::data(number));
            }
            tokio::task::yield_now().await;
            session.send(Push::message("last"));
            session.close(CloseCode::NORMAL, "");
            assert_eq!(session.send(Push::message("too late")), Outcome::Gone);
        });
        for number in 0..3 {
            assert_eq!(sent.next().await, Some(Push::data(number)));
        }
        task.await.unwrap();
        assert_eq!(sent.next().await, Some(Push::message("last")));
        assert_eq!(sent.next().await, None);
        assert_eq!(sent.pushes(), []);
        assert_eq!(sent.closed(), Some(Closed::new(CloseCode::NORMAL, "", ClosedBy::Server)));
    }

    #[test]
    fn the_queue_has_the_limits_of_the_hub() {
        let config = Config { queue_messages: 2, ..Config::default() };
        let hub = Hub::builder(RawKey::from_path()).config(config).build();
        let (session, mut sent) = Session::detached_on(&hub, alice());
        let send = || session.send(Push::message("1"));
        assert_eq!([send(), send()], [Outcome::Accepted; 2]);
        assert_eq!(sent.pushes().len(), 2);
        assert_eq!([send(), send(), send()], [Outcome::Accepted, Outcome::Accepted, Outcome::Slow]);
        assert_eq!(sent.closed().unwrap().code, CloseCode::TOO_SLOW);
    }
}
