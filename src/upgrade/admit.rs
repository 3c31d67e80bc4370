//! Who is let in.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::app_call::{CallError, call_app};
use crate::config::SessionPolicy;
use crate::connection::OpeningPermit;
use crate::handshake::Handshake;
use crate::hub::Hub;
use crate::key::{Identity, Key};
use crate::refusal::Refusal;
use crate::rejection::Rejection;
use crate::session::Session;

/// How long an opening waits for the sessions of its key to show that they live. A client on a mobile network answers
/// within a second or two.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

impl Hub {
    /// From what costs least to what costs most. What can be used only once is used last.
    pub(super) async fn admit(&self, handshake: &Handshake) -> Result<(Identity, OpeningPermit), Refusal> {
        if self.drain().has_begun() {
            return Err(Refusal::new(Rejection::Unavailable, "the hub shuts down"));
        }
        self.check_rate(handshake.peer())?;
        self.origins().check(handshake)?;
        let permit = self.permit(handshake.peer())?;
        let identity = self.extract(handshake).await?;
        if identity.is_over() {
            return Err(Refusal::new(Rejection::Expired, "the extractor's identity has expired already"));
        }
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

    /// From here on it counts, however long the extractor takes.
    fn permit(&self, peer: Option<SocketAddr>) -> Result<OpeningPermit, Refusal> {
        OpeningPermit::acquire(self, peer).map_err(|rejection| {
            let limits = &self.config().limits;
            let why = match rejection {
                Rejection::Throttled => {
                    let most = limits.sessions_per_address;
                    format!("this address has its {most} sessions. Setting: Limits::sessions_per_address")
                }
                _ => format!("the hub has its {} sessions. Setting: Limits::sessions", limits.sessions),
            };
            Refusal::new(rejection, why)
        })
    }

    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Refusal> {
        let limit = self.config().handler_timeout;
        let extracted =
            call_app(limit, || Box::pin(self.turns().run(handshake.peer(), self.keys().extract(handshake))))
                .await;
        extracted.map_err(|error| call_failed(&error, handshake.peer()))?.map_err(|rejection| {
            Refusal::new(rejection, format!("the extractor says: {rejection}. Setting: HubBuilder::keys"))
        })
    }

    async fn settle(&self, handshake: &Handshake) -> Result<(), Refusal> {
        if !handshake.has_deferred() {
            return Ok(());
        }
        let limit = self.config().handler_timeout;
        let settled = call_app(limit, || Box::pin(handshake.settle())).await;
        settled
            .map_err(|error| call_failed(&error, handshake.peer()))?
            .map_err(|rejection| Refusal::new(rejection, format!("a ticket could not be used: {rejection}")))
    }

    /// Whether the policy allows one more session of this key now. The store decides again when the session
    /// enters it, and may come to another end then; but for an ordinary client only this is in time for a status.
    async fn has_room_for(&self, key: &Key) -> Result<(), Refusal> {
        let policy = self.config().policy;
        if policy == SessionPolicy::Replace || self.has_room(key).await? {
            return Ok(());
        }
        // Boxed, since it is rare and every opening would be larger by it.
        let full = Box::pin(self.full(key)).await;
        // A session may have left in the meantime.
        if self.has_room(key).await? { Ok(()) } else { Err(full) }
    }

    async fn has_room(&self, key: &Key) -> Result<bool, Refusal> {
        let present = self.sessions_of(key).await;
        let present =
            present.map_err(|_| Refusal::new(Rejection::Unavailable, "the session store failed"))?;
        Ok(self.config().policy.admit(present).is_ok())
    }

    /// Why a key may have no more sessions now: for good if all that it has are seen to live, or else until it is known
    /// which of them were left behind by a line that broke.
    pub(crate) async fn full(&self, key: &Key) -> Refusal {
        let present = self.sessions_of(key).await.unwrap_or_default();
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
    /// Asks the client for a pong, and is ready when it comes (true) or the session ends (false).
    ///
    /// Any pong counts that comes from now on: where several ask at once, the first answer is for all of them.
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

/// The panic's text may contain the credential, so nobody gets it.
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
