//! A page in memory.

mod builder;
mod ids;
mod patience;
mod refused;
mod sending;
mod wire;

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use tokio::task::JoinHandle;

pub use self::builder::TabBuilder;
use self::ids::Ids;
use self::patience::within;
pub use self::refused::Refused;
use self::wire::Page;
use crate::close::Closed;
use crate::delivery::{Position, split_place};
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::key::Key;
use crate::message::{MessageId, Push};
use crate::session::{SentFrame, Session};
use crate::upgrade::Upgrade;
use crate::websocket::CloseCode;

/// A browser tab in memory: a client of a hub for tests, without a server and without TCP.
///
/// The connection is a real one: the opening is decided by the hub, its messages go through the hub's extractor, limits, handler and
/// store, and the session ends with the close code that a browser would see. Only the byte stream is not a socket.
///
/// ```
/// use keywire::auth::RawKey;
/// use keywire::message::Flag;
/// use keywire::testing::Tab;
/// use keywire::{Envelope, HandlerResult, Hub, Push, Reply, Session, Switch};
///
/// async fn relay(session: Session, envelope: Envelope) -> HandlerResult {
///     let to = envelope.reception.ok_or(Reply::error("40", "to whom?"))?;
///     let push = Push::data(&envelope.body).with_flag(Flag::INFORM).with_sender(&envelope.sender);
///     session.hub().send_to(to, push).await;
///     Ok(Reply::none())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let hub = Hub::builder(RawKey::from_path()).handler(Switch::new().inform(relay)).build();
/// let (mut alice, mut bob) = (Tab::open(&hub, "alice").await, Tab::open(&hub, "bob").await);
/// alice.inform("bob", "hi");
/// assert_eq!(bob.next().await, Push::data("hi").with_flag("inform").with_sender(alice.key()));
/// alice.assert_silent().await;
/// # }
/// ```
///
/// # Time
///
/// Nothing in a tab sleeps, so a test may pause tokio's clock: `#[tokio::test(start_paused = true)]`. A paused clock advances only when all
/// tasks wait, to the next timer. So hours pass at once, and a wait for a push that does not come fails at once. Without a paused
/// clock it fails after 60 s.
///
/// A tab answers the server's pings at the moment at which they are sent, until it is [muted](Self::mute).
///
/// # Panics
///
/// A method that waits panics if the connection ends first, and names the close code.
///
/// # Cancel safety
///
/// If the future of a method that waits is dropped, no push is lost. A message that was sent stays sent: its reply comes as a push.
pub struct Tab {
    session: Session,
    page: Page,
    /// Frames that have come while something else was waited for.
    kept: VecDeque<SentFrame>,
    position: Option<Position>,
    ids: Ids,
    connection: Option<JoinHandle<()>>,
}

impl Tab {
    /// Opens a tab with this key in the path, for a hub with [`RawKey::from_path`](crate::auth::RawKey::from_path). For any other
    /// credential: [`Tab::connect`].
    ///
    /// After it the session is in the store, so `hub.send_to` reaches it, and its handler's `opened` has begun.
    ///
    /// # Panics
    ///
    /// If the opening is refused.
    pub async fn open(hub: &Hub, key: impl AsRef<[u8]>) -> Self {
        match Self::connect(hub, Self::builder().path_key(key)).await {
            Ok(tab) => tab,
            Err(refused) => panic!("{refused}. For an extractor that does not read the path: Tab::connect"),
        }
    }

    /// Opens a tab with any opening request: a [`TabBuilder`], or a [`Handshake`] of your own.
    ///
    /// ```
    /// use keywire::Hub;
    /// use keywire::auth::{Origins, RawKey};
    /// use keywire::testing::Tab;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let origins = Origins::listed().and("https://app.example");
    /// let hub = Hub::builder(RawKey::from_bearer()).origins(origins).build();
    /// let opening = Tab::builder().bearer("alice");
    /// let alice = Tab::connect(&hub, opening.clone().origin("https://app.example")).await.unwrap();
    /// assert_eq!(alice.key(), "alice");
    /// let refused = Tab::connect(&hub, opening.origin("https://evil.example")).await.unwrap_err();
    /// assert_eq!(refused.code(), 4503);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`]: what the client sees if the hub does not let it in. Also if its session ends before its `opened` is called.
    ///
    /// # Panics
    ///
    /// If the hub does not decide within 60 s.
    pub async fn connect(hub: &Hub, opening: impl Into<Handshake>) -> Result<Self, Refused> {
        let opening = opening.into();
        within("the answer to an opening", async {
            let Upgrade { response, connection } = hub.upgrade(opening).await;
            let Some(connection) = connection else { return Err(Refused::new(response, None)) };
            let session = connection.session().cloned();
            let (page, server) = wire::pair();
            let connection = tokio::spawn(connection.run(server, Bytes::new()));
            let has_begun = page.has_begun().await;
            match session.filter(|_| has_begun) {
                Some(session) => Ok(Self {
                    session,
                    page,
                    kept: VecDeque::new(),
                    position: None,
                    ids: Ids::default(),
                    connection: Some(connection),
                }),
                None => Err(Refused::new(response, page.closed())),
            }
        })
        .await
    }

    /// An opening request without a credential, to be completed.
    #[must_use]
    pub fn builder() -> TabBuilder {
        TabBuilder::new()
    }

    /// The server's handle of this tab's session, which is also what the handler gets.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The key of the session.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.session.key()
    }

    /// The position of the last kept push that was taken out, for [`TabBuilder::following`]. `None`: there was none, or the tab does not
    /// follow the log.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Takes out the next push. Waits for one.
    ///
    /// # Panics
    ///
    /// If the connection ends first, if none comes within 60 s, or if the next frame is not a push ([`Tab::next_frame`] accepts any).
    pub async fn next(&mut self) -> Push {
        match within("a push", self.take()).await {
            Some(frame) => self.push(frame),
            None => self.ended("a push"),
        }
    }

    /// Takes out the next frame of any kind. Waits for one.
    ///
    /// # Panics
    ///
    /// If the connection ends first, or if none comes within 60 s.
    pub async fn next_frame(&mut self) -> SentFrame {
        match within("a frame", self.take()).await {
            Some(frame) => frame,
            None => self.ended("a frame"),
        }
    }

    /// Takes out the next push, if there is one, in the sense of [`Tab::pushes`].
    ///
    /// # Panics
    ///
    /// As [`Tab::pushes`].
    pub async fn try_next(&mut self) -> Option<Push> {
        self.settle().await;
        let frame = self.kept.pop_front()?;
        Some(self.push(frame))
    }

    /// Takes out all pushes, without waiting for more. Everything that this tab has sent is handled first, and everything that was sent
    /// to it before this call has arrived. If the connection has ended: the pushes before its end.
    ///
    /// # Panics
    ///
    /// If one of the frames is not a push. If the handler has a [`text`](crate::MessageHandler::text) hook that does not let messages of
    /// keywire's own (`kw:`) through.
    pub async fn pushes(&mut self) -> Vec<Push> {
        self.settle().await;
        let frames = std::mem::take(&mut self.kept);
        frames.into_iter().map(|frame| self.push(frame)).collect()
    }

    /// Checks that there is no push, in the sense of [`Tab::pushes`].
    ///
    /// It does not wait, so it does not see what a task of the application sends later. For "nothing comes within an hour": sleep for
    /// an hour on a paused clock first.
    ///
    /// # Panics
    ///
    /// If there is one. Otherwise as [`Tab::pushes`].
    pub async fn assert_silent(&mut self) {
        let pushes = self.pushes().await;
        assert!(pushes.is_empty(), "{} should have got nothing, but got {pushes:?}", self.key());
    }

    /// Stops answering: the server's pings and its close frame get no answer, as from a computer that sleeps. With the default
    /// [`Config`](crate::Config) the session ends with 4002 after 35 s.
    ///
    /// ```
    /// use keywire::Hub;
    /// use keywire::auth::RawKey;
    /// use keywire::testing::Tab;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let hub = Hub::builder(RawKey::from_path()).build();
    /// let mut alice = Tab::open(&hub, "alice").await;
    /// alice.mute();
    /// assert_eq!(u16::from(alice.closed().await.code), 4002);
    /// # }
    /// ```
    pub fn mute(&mut self) {
        self.page.mute();
    }

    /// Closes the tab with 1000, as a user does, and waits until the connection has ended: see [`Tab::closed`].
    ///
    /// # Panics
    ///
    /// If the connection has not ended after 60 s.
    pub async fn close(&mut self) -> Closed {
        self.close_with(CloseCode::NORMAL, "").await
    }

    /// [`Tab::close`] with this code and reason. A longer reason than 123 bytes is cut.
    ///
    /// # Panics
    ///
    /// As [`Tab::close`].
    pub async fn close_with(&mut self, code: CloseCode, reason: &str) -> Closed {
        self.page.close(code, reason);
        self.closed().await
    }

    /// Waits until the connection has ended: then the session has left the store, and the handler's
    /// [`closed`](crate::MessageHandler::closed) has returned. Returns the close frame of the server, with
    /// [`ClosedBy::Peer`](crate::session::ClosedBy::Peer) if it answers the tab's own, and [`Closed::lost`] if there was none. Pushes that
    /// came before can still be taken out.
    ///
    /// # Panics
    ///
    /// If the connection has not ended after 60 s.
    pub async fn closed(&mut self) -> Closed {
        within("the end of the connection", async {
            while let Some(frame) = self.receive().await {
                self.kept.push_back(frame);
            }
            self.finished().await;
            self.page.closed().unwrap_or_else(Closed::lost)
        })
        .await
    }

    /// Breaks the connection off without a close frame, as a lost line does, and waits until the server has noticed: see
    /// [`Tab::closed`]. Dropping a tab does the same, without waiting.
    ///
    /// # Panics
    ///
    /// If the connection has not ended after 60 s.
    pub async fn break_off(mut self) {
        self.page.hang_up();
        within("the end of the connection", self.finished()).await;
    }

    /// The end of the connection, if it has ended.
    pub(super) fn ended_with(&self) -> Option<Closed> {
        self.page.closed()
    }

    /// Waits for the server's part of the connection.
    async fn finished(&mut self) {
        if let Some(connection) = &mut self.connection {
            // keywire's own task does not panic, and nothing aborts it.
            let _ = connection.await;
            self.connection = None;
        }
    }

    /// The next frame. `None`: the connection has ended.
    async fn take(&mut self) -> Option<SentFrame> {
        match self.kept.pop_front() {
            Some(frame) => Some(frame),
            None => self.receive().await,
        }
    }

    /// The next frame from the server, past the answers to barriers that nobody waits for any more.
    async fn receive(&mut self) -> Option<SentFrame> {
        loop {
            let frame = self.page.frame().await?;
            if !read(&frame).is_some_and(|(push, _)| Ids::is_barrier(push.id.as_ref())) {
                return Some(frame);
            }
        }
    }

    /// The push with this id. `None`: the connection has ended.
    async fn answer(&mut self, id: &MessageId) -> Option<Push> {
        while let Some(frame) = self.page.frame().await {
            match read(&frame) {
                Some((push, _)) if push.id.as_ref() == Some(id) => return Some(push),
                Some((push, _)) if Ids::is_barrier(push.id.as_ref()) => {}
                _ => self.kept.push_back(frame),
            }
        }
        None
    }

    fn push(&mut self, frame: SentFrame) -> Push {
        let Some((push, position)) = read(&frame) else {
            panic!("{} got a frame that is not a push: {frame:?}", self.key())
        };
        self.position = position.or(self.position);
        push
    }

    fn ended(&self, instead: &str) -> ! {
        let Closed { code, reason, .. } = self.page.closed().unwrap_or_else(Closed::lost);
        panic!("{} was closed with {code} {reason:?}, and did not get {instead}", self.key())
    }
}

/// The push in a frame, and its position if it is a kept one for a follower.
fn read(frame: &SentFrame) -> Option<(Push, Option<Position>)> {
    let SentFrame::Text(text) = frame else { return None };
    if let Some(push) = Push::read(text) {
        return Some((push, None));
    }
    let (json, position) = split_place(text)?;
    Some((Push::read(&json)?, Some(position)))
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.page.hang_up();
    }
}

impl fmt::Debug for Tab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tab").field("session", &self.session).finish_non_exhaustive()
    }
}
