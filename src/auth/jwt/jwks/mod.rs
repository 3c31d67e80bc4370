//! Keys that somebody else publishes, and changes.

mod error;
mod origin;
#[cfg(feature = "jwks")]
mod web;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::algorithm::JwtAlgorithm;
use super::jwk;
use super::key::VerifyingKey;
use super::key_list::KeyList;
use super::token::Token;
use crate::rejection::Rejection;
pub use error::JwksError;
use origin::Origin;

/// The keys of a JWK set (RFC 7517, section 5) that is read again and again, from a file or, with the feature
/// `jwks`, from a URL: the way in which identity providers publish the keys that they sign with.
///
/// ```
/// use std::time::Duration;
///
/// use keywire::auth::{Jwks, JwtAlgorithm, JwtKey};
/// use keywire::Hub;
///
/// let keys = Jwks::from_file("/etc/chat/keys.json")
///     .algorithms([JwtAlgorithm::RS256])
///     .refresh_every(Duration::from_secs(60));
/// let hub = Hub::builder(JwtKey::new(keys).issuer("https://login.example").audience("chat")).build();
/// # let _ = hub;
/// ```
///
/// It is read when the first token comes, and then by the first token that comes after
/// [`refresh_every`](Jwks::refresh_every), which waits for it: a key that is withdrawn is good no longer than
/// that. A token that no key of the set has signed may be signed with a new key, so it has the set read too, at most
/// once in [`refetch_every`](Jwks::refetch_every). However many tokens wait, one reading is under way. While a reading
/// fails the last good set stays in force.
///
/// The set is the provider's to change, so a refusal that another reading may heal asks the client to come back:
///
/// | the token | rejection |
/// |---|---|
/// | there is no set yet | [`Unavailable`](Rejection::Unavailable) |
/// | no key has its `kid` and `alg`, or several different ones do | [`NotYet`](Rejection::NotYet) |
/// | its signature is not its key's, in a set that was read before it came | [`NotYet`](Rejection::NotYet) |
/// | its signature is not its key's, in a set that was read after it came | [`Invalid`](Rejection::Invalid), which is final |
/// | its `alg` is not among [`algorithms`](Jwks::algorithms) | [`Invalid`](Rejection::Invalid), which is final |
///
/// Of the set only those keys count whose `use` is `sig` or absent and whose `alg` is among
/// [`algorithms`](Jwks::algorithms).
///
/// Clones share what was read.
#[derive(Clone)]
pub struct Jwks {
    origin: Arc<Origin>,
    algorithms: Vec<JwtAlgorithm>,
    refresh: Duration,
    refetch: Duration,
    patience: Duration,
    max_bytes: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    keys: Option<KeyList>,
    /// When `keys` was asked for.
    read_at: Option<Instant>,
    /// When anything was asked for, also in vain.
    tried_at: Option<Instant>,
    /// Changes, or rather goes, when the reading that is under way ends.
    underway: Option<watch::Receiver<()>>,
}

impl Jwks {
    /// How soon it is tried again as long as there are no keys at all.
    const RETRY: Duration = Duration::from_secs(1);

    /// A file, which may be replaced while the server runs.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Origin::File(path.into()))
    }

    /// A URL. `https`, with the certificate authorities that the system trusts; `http` to this machine only, since
    /// whoever can change the answer can sign tokens. Redirects are not followed.
    ///
    /// ```
    /// use keywire::auth::{Jwks, JwtKey};
    ///
    /// # fn main() -> Result<(), keywire::auth::JwksError> {
    /// let keys = Jwks::from_url("https://login.example/.well-known/jwks.json")?;
    /// let extractor = JwtKey::new(keys).issuer("https://login.example");
    /// # let _ = extractor;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`JwksError::Url`] if it is another kind of URL or has a password in it, [`JwksError::Unreachable`] if the
    /// system has no certificate authorities.
    #[cfg(feature = "jwks")]
    pub fn from_url(url: &str) -> Result<Self, JwksError> {
        Ok(Self::new(Origin::Web(Box::new(web::Endpoint::new(url)?))))
    }

    fn new(origin: Origin) -> Self {
        Self {
            origin: Arc::new(origin),
            algorithms: JwtAlgorithm::ASYMMETRIC.to_vec(),
            refresh: Duration::from_secs(5 * 60),
            refetch: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            max_bytes: 256 * 1024,
            state: Arc::default(),
        }
    }

    /// The algorithms that tokens may be signed by, in place of [`JwtAlgorithm::ASYMMETRIC`]. HMAC is for files only:
    /// from a URL a secret is never taken.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = JwtAlgorithm>) -> Self {
        let secrets = self.origin.may_be_secret();
        self.algorithms =
            algorithms.into_iter().filter(|algorithm| secrets || !algorithm.is_hmac()).collect();
        self
    }

    /// For how long the keys are good without another look: 5 minutes by default.
    #[must_use]
    pub fn refresh_every(mut self, age: Duration) -> Self {
        self.refresh = age;
        self
    }

    /// How often a token that no key has signed may cause another look, and how long to leave the origin alone after
    /// one that failed: a minute by default.
    #[must_use]
    pub fn refetch_every(mut self, pause: Duration) -> Self {
        self.refetch = pause;
        self
    }

    /// How long a reading may take, and an opening waits for one: 5 s by default.
    #[must_use]
    pub fn timeout(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The largest document that is read, in bytes: 256 KiB by default.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Reads the keys now: for a program that would rather not start without them.
    ///
    /// # Errors
    ///
    /// What went wrong. Keys that were read before stay in force.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed when the future is dropped.
    pub async fn load(&self) -> Result<(), JwksError> {
        let asked_at = Instant::now();
        let outcome = self.read().await;
        let failed = outcome.as_ref().err().copied();
        self.settle(asked_at, outcome);
        failed.map_or(Ok(()), Err)
    }

    /// The claims of `token`, if a key of the set signed it. That may take a reading or two.
    pub(super) async fn verify(&self, token: &Token<'_>) -> Result<Vec<u8>, Rejection> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(Rejection::Invalid);
        }
        let came_at = Instant::now();
        let age = self.state().read_at.map(|moment| moment.elapsed());
        match age {
            None => self.read_again(self.refetch.min(Self::RETRY)).await,
            Some(age) if age >= self.refresh => self.read_again(self.refetch.min(self.refresh)).await,
            Some(_) => {}
        }
        let (tried, fresh) = self.known(token, came_at)?;
        if let Some(claims) = tried.as_ref().and_then(|key| token.verified_by(key).ok()) {
            return Ok(claims);
        }
        if !fresh {
            self.read_again(self.refetch).await;
        }
        let (key, fresh) = self.known(token, came_at)?;
        let key = key.ok_or(Rejection::NotYet)?;
        let untried = tried.is_none_or(|tried| !key.is(&tried));
        if untried && let Ok(claims) = token.verified_by(&key) {
            return Ok(claims);
        }
        // Forged, unless its key is newer than the set.
        Err(if fresh { Rejection::Invalid } else { Rejection::NotYet })
    }

    /// The one key that `token` can mean, and whether the set was asked for after `came_at`.
    fn known(&self, token: &Token<'_>, came_at: Instant) -> Result<(Option<VerifyingKey>, bool), Rejection> {
        let state = self.state();
        let keys = state.keys.as_ref().ok_or(Rejection::Unavailable)?;
        Ok((keys.find(token), state.read_at.is_some_and(|moment| moment >= came_at)))
    }

    /// Waits for a reading: the one that is under way, or a new one if the last began `pause` ago.
    async fn read_again(&self, pause: Duration) {
        let mut underway = {
            let mut state = self.state();
            match &state.underway {
                Some(underway) if underway.has_changed().is_ok() => underway.clone(),
                _ if state.tried_at.is_some_and(|moment| moment.elapsed() < pause) => return,
                _ => {
                    let asked_at = Instant::now();
                    let (end, underway) = watch::channel(());
                    state.tried_at = Some(asked_at);
                    state.underway = Some(underway.clone());
                    // A task of its own, so that a client that goes away takes nothing from those who wait as well.
                    let jwks = self.clone();
                    tokio::spawn(async move {
                        let outcome = jwks.read().await;
                        jwks.settle(asked_at, outcome);
                        drop(end);
                    });
                    underway
                }
            }
        };
        let _ = timeout(self.patience, underway.changed()).await;
    }

    async fn read(&self) -> Result<KeyList, JwksError> {
        let reading = self.origin.read(self.max_bytes);
        let text = timeout(self.patience, reading).await.map_err(|_| JwksError::Timeout)??;
        Ok(jwk::read_set(&text, &self.algorithms)?)
    }

    fn settle(&self, asked_at: Instant, outcome: Result<KeyList, JwksError>) {
        let mut state = self.state();
        state.tried_at = state.tried_at.max(Some(asked_at));
        match outcome {
            Ok(keys) => {
                tracing::debug!(origin = %self.origin, keys = keys.0.len(), "read the JWK set");
                state.keys = Some(keys);
                state.read_at = Some(asked_at);
            }
            Err(error) => {
                let kept = state.keys.is_some();
                tracing::warn!(origin = %self.origin, %error, kept, "could not read the JWK set");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks")
            .field("origin", &format_args!("{}", self.origin))
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
