//! Decides on an opening: limits, origin, extractor, policy.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::run::{Connection, Fate};
use crate::app_call::{CallError, call_app};
use crate::connection::{OpeningPermit, SessionPermit};
use crate::delivery::Recipients;
use crate::excerpt::Excerpt;
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::hub::underway::Undecided;
use crate::key::{Identity, Key};
use crate::limits::SessionPolicy;
use crate::refusal::Refusal;
use crate::rejection::Rejection;
use crate::session::Session;
use crate::websocket::CloseCode;

/// The time that the sessions of a key have to answer a ping when an opening waits for them. A client on a mobile network
/// answers within a second or two.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

impl Hub {
    /// Decides on an opening, and creates the session if it is accepted.
    pub(super) async fn decide(
        &self,
        handshake: &Handshake,
        compresses: bool,
    ) -> Result<Connection, Refusal> {
        let peer = handshake.peer();
        let span = tracing::debug_span!("opening", peer = peer.map(tracing::field::display));
        let undecided = Undecided::begin(self);
        let (identity, permit) = self.check(handshake).instrument(span).await?;
        let (id, dialect) = (undecided.id(), handshake.dialect());
        let follow = self.log().and_then(|_| handshake.follows());
        let session = Session::with_id(id, self.clone(), identity, peer, dialect, compresses, follow);
        // A shutdown that finds the session waits for its connection.
        let _tracked = self.drain().connection_token();
        let promised = undecided.promise(&session)?;
        let permit = SessionPermit::new(session.clone(), permit);
        let connection = Connection::new(self, Fate::Live { promised, permit });
        // A shutdown that began earlier has not found it.
        if self.drain().has_begun() {
            session.close(CloseCode::DRAIN, "0");
        }
        Ok(connection)
    }

    /// Checks an opening, cheapest checks first. A credential for one use is used up last.
    async fn check(&self, handshake: &Handshake) -> Result<(Identity, OpeningPermit), Refusal> {
        if self.drain().has_begun() {
            return Err(Refusal::new(Rejection::Unavailable, "the hub shuts down"));
        }
        self.check_rate(handshake.peer())?;
        self.origins().check(handshake)?;
        let permit = self.permit(handshake.peer())?;
        let identity = self.extract(handshake).await?;
        self.has_room_for(identity.key()).await?;
        self.settle(handshake).await?;
        Ok((identity, permit))
    }

    fn check_rate(&self, peer: Option<SocketAddr>) -> Result<(), Refusal> {
        self.admission().check_rate(peer).map_err(|rejection| {
            Refusal::new(
                rejection,
                "too many openings from this address. Setting: Limits::handshakes_per_address",
            )
        })
    }

    /// Acquired before the extractor runs, however long that takes.
    fn permit(&self, peer: Option<SocketAddr>) -> Result<OpeningPermit, Refusal> {
        OpeningPermit::acquire(self, peer).map_err(|rejection| {
            let limits = &self.config().limits;
            let why = match rejection {
                Rejection::Throttled => {
                    let most = limits.sessions_per_address.unwrap_or_default();
                    format!("this address has its {most} sessions. Setting: Limits::sessions_per_address")
                }
                _ => format!("the hub has its {} sessions. Setting: Limits::sessions", limits.sessions),
            };
            Refusal::new(rejection, why)
        })
    }

    /// The same handshake with the client's address, past the trusted proxies. What is used up is left to
    /// [`Hub::settle`].
    pub(crate) fn resolve(&self, handshake: Handshake) -> Handshake {
        let proxies = &self.config().limits.proxies;
        let peer = handshake.peer().and_then(|peer| proxies.resolve(peer, handshake.headers()));
        handshake.resolved_to(peer).deferring()
    }

    /// The identity, by a credential that is valid now.
    pub(crate) async fn extract(&self, handshake: &Handshake) -> Result<Identity, Refusal> {
        let limit = self.config().handler_timeout;
        let extracted =
            call_app(limit, || Box::pin(self.turns().run(handshake.peer(), self.keys().extract(handshake))))
                .await;
        let extracted = extracted.map_err(|error| call_failed(&error, handshake.peer()))?;
        let identity = extracted.map_err(|rejection| {
            let why = handshake.explanation();
            let why = why.as_ref().map_or_else(String::new, |why| format!(": {}", Excerpt(why)));
            let unexplained = why.is_empty() && rejection != Rejection::Missing;
            let more = if unexplained { "; Handshake::explain tells this log why" } else { "" };
            let setting = format!("the KeyExtractor given to Hub::builder{more}");
            Refusal::new(rejection, format!("the extractor says: {rejection}{why}. Setting: {setting}"))
        })?;
        if identity.is_over() {
            return Err(Refusal::new(Rejection::Expired, "the extractor's identity has expired already"));
        }
        Ok(identity)
    }

    pub(crate) async fn settle(&self, handshake: &Handshake) -> Result<(), Refusal> {
        if !handshake.has_deferred() {
            return Ok(());
        }
        let limit = self.config().handler_timeout;
        let settled = call_app(limit, || Box::pin(handshake.settle())).await;
        settled
            .map_err(|error| call_failed(&error, handshake.peer()))?
            .map_err(|rejection| Refusal::new(rejection, format!("a ticket could not be used: {rejection}")))
    }

    /// Whether the policy allows one more session of this key now. The store decides again, perhaps differently, when the
    /// session enters it. But only this decision is in time for a status.
    async fn has_room_for(&self, key: &Key) -> Result<(), Refusal> {
        let policy = self.config().policy;
        if policy == SessionPolicy::Replace || self.has_room(key).await? {
            return Ok(());
        }
        // Boxed, since it is rare and would enlarge every opening.
        let full = Box::pin(self.full(key)).await;
        // A session may have ended meanwhile.
        if self.has_room(key).await? { Ok(()) } else { Err(full) }
    }

    async fn has_room(&self, key: &Key) -> Result<bool, Refusal> {
        let present = self.sessions_of(&Recipients::key(key.clone())).await;
        let present =
            present.map_err(|_| Refusal::new(Rejection::Unavailable, "the session store failed"))?;
        Ok(self.config().policy.admit(present).is_ok())
    }

    /// The refusal of a key that has its number of sessions: final if all of them answer a ping. Otherwise some may be left
    /// behind by a broken line, and the client is asked to come back.
    pub(crate) async fn full(&self, key: &Key) -> Refusal {
        let present = self.sessions_of(&Recipients::key(key.clone())).await.unwrap_or_default();
        let asked: Vec<_> = present.iter().map(|session| session.shows_life()).collect();
        let all = timeout(SIGN_OF_LIFE, join_all(asked)).await;
        if all.is_ok_and(|answers| answers.into_iter().all(|alive| alive)) {
            let why = format!(
                "the key has as many sessions as it may. Setting: Config::policy, {:?}",
                self.config().policy
            );
            return Refusal::new(Rejection::TooMany, why);
        }
        let why = "the key has as many sessions as it may, and not all of them answer. They end after Config::ping_interval and \
             Config::pong_timeout";
        Refusal::new(Rejection::Unavailable, why)
    }
}

impl Session {
    /// Pings the client. Ready with `true` when a pong comes, or with `false` when the session ends.
    ///
    /// Any later pong counts: if several callers ping at once, the first pong answers all of them.
    fn shows_life(&self) -> impl Future<Output = bool> + use<> {
        let (session, before) = (self.clone(), self.pongs());
        session.outbox().probe();
        async move {
            loop {
                let answered = session.hub().answers().notified();
                if session.pongs() != before {
                    return true;
                }
                if !session.is_open() {
                    return false;
                }
                answered.await;
            }
        }
    }
}

/// The message of a panic may contain the credential, so it is neither logged nor sent.
fn call_failed(error: &CallError, peer: Option<SocketAddr>) -> Refusal {
    let peer = peer.map(tracing::field::display);
    let why = match error {
        CallError::TimedOut => {
            tracing::error!(peer, "the key extractor timed out");
            "the extractor did not answer in time. Setting: Config::handler_timeout"
        }
        CallError::Panicked(_) => {
            tracing::error!(peer, "the key extractor panicked");
            "the extractor panicked"
        }
    };
    Refusal::new(Rejection::Unavailable, why)
}
