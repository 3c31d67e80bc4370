use super::Hub;
use crate::handshake::Handshake;
use crate::key::Identity;
use crate::rejection::Rejection;

impl Hub {
    /// Finds out who sends an HTTP request, by the extractor that the openings are checked by. For the other routes of
    /// the application: one credential counts for both.
    ///
    /// `request` is a `&http::request::Parts`, or a [`Handshake`]: [`Handshake::from_parts`] where the key or token is
    /// in the path, [`Handshake::new`] and [`Handshake::with_peer`] where the framework has no `Parts`. The address
    /// is resolved behind trusted proxies, as for an opening. A ticket is used up.
    ///
    /// [`Origins`](crate::auth::Origins) and the limits of [`Limits`](crate::limits::Limits) are for openings and are not checked: a route
    /// that changes something by a cookie needs its own protection against cross-site requests.
    ///
    /// ```
    /// use keywire::auth::{RawKey, Rejection};
    /// use keywire::{Hub, Push};
    ///
    /// /// `POST /paid`: tells all tabs of the user.
    /// async fn paid(hub: Hub, parts: http::request::Parts) -> Result<(), Rejection> {
    ///     let identity = hub.identify(&parts).await?;
    ///     hub.send_to(identity.key(), Push::message("paid")).await;
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder(RawKey::from_header("x-user")).build();
    /// let (parts, ()) = http::Request::post("/paid").header("x-user", "alice").body(())?.into_parts();
    /// assert_eq!(paid(hub.clone(), parts).await, Ok(()));
    /// let (parts, ()) = http::Request::post("/paid").body(())?.into_parts();
    /// assert_eq!(paid(hub, parts).await, Err(Rejection::Missing));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The extractor's [`Rejection`]. [`Rejection::Expired`] if the identity's end has passed.
    /// [`Rejection::Unavailable`] if the extractor panics, or does not answer within
    /// [`Config::handler_timeout`](crate::Config::handler_timeout) (both logged at `error`).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped a ticket may have been used up. Nothing else has happened.
    pub async fn identify(&self, request: impl Into<Handshake>) -> Result<Identity, Rejection> {
        let handshake = self.resolve(request.into());
        let identified = match self.extract(&handshake).await {
            Ok(identity) => self.settle(&handshake).await.map(|()| identity),
            Err(refusal) => Err(refusal),
        };
        identified.map_err(|refusal| {
            let peer = handshake.peer().map(tracing::field::display);
            tracing::debug!(peer, kind = refusal.rejection.kind(), "not identified");
            refusal.rejection
        })
    }
}
