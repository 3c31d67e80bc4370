//! Keys that an identity provider publishes and rotates.

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
use super::refused::Refused;
use super::token::Token;
use crate::rejection::Rejection;
pub use error::JwksError;
use origin::Origin;

/// The keys of a JWK set (RFC 7517, section 5) in a file or, with the feature `jwks`, at a URL. Identity providers publish their
/// keys as JWK sets. keywire reads the set again regularly.
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
/// The first token starts the first reading. The first token after [`refresh_every`](Jwks::refresh_every) starts the next reading
/// and waits for it, so a withdrawn key is valid no longer than that. A token that no key of the set has signed may belong to a new
/// key. It starts a reading too, at most once in [`refetch_every`](Jwks::refetch_every). At most one reading runs at a time. While
/// readings fail, the last good set stays valid.
///
/// If a later reading may change a refusal, the client is asked to come back:
///
/// | case | rejection |
/// |---|---|
/// | no set has been read yet | [`Unavailable`](Rejection::Unavailable) |
/// | no key fits the token's `kid` and `alg`, or several different keys fit | [`NotYet`](Rejection::NotYet) |
/// | wrong signature, and the set was read before the token arrived | [`NotYet`](Rejection::NotYet) |
/// | wrong signature, and the set was read after the token arrived | [`Invalid`](Rejection::Invalid), which is final |
/// | the token's `alg` is not among [`algorithms`](Jwks::algorithms) | [`Invalid`](Rejection::Invalid), which is final |
///
/// Only keys whose `use` is `sig` or absent and whose `alg` is among [`algorithms`](Jwks::algorithms) count.
///
/// Clones share the set.
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
    /// The time at which the reading of `keys` began.
    read_at: Option<Instant>,
    /// The time at which the last reading began, successful or not.
    tried_at: Option<Instant>,
    /// Closed when the current reading ends.
    underway: Option<watch::Receiver<()>>,
}

impl Jwks {
    /// Pause between readings while there are no keys.
    const RETRY: Duration = Duration::from_secs(1);

    /// A JWK set in a file. The file may be replaced while the server runs.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Origin::File(path.into()))
    }

    /// A JWK set at a URL. The URL must be `https`, with the certificate authorities that the system trusts, or `http` to this
    /// machine: an attacker who can change the response can sign tokens. Redirects are not followed.
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
    /// [`JwksError::Url`] if the URL is of another kind or contains a password. [`JwksError::Unreachable`] if the system has no
    /// certificate authorities.
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

    /// Allowed algorithms. Default: [`JwtAlgorithm::ASYMMETRIC`]. HMAC works for files only, since a secret must not come from a URL.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = JwtAlgorithm>) -> Self {
        let secrets = self.origin.may_be_secret();
        self.algorithms =
            algorithms.into_iter().filter(|algorithm| secrets || !algorithm.is_hmac()).collect();
        self
    }

    /// Time after which the set is read again. Default: 5 minutes.
    #[must_use]
    pub fn refresh_every(mut self, age: Duration) -> Self {
        self.refresh = age;
        self
    }

    /// Shortest time between readings for unknown keys, and pause after a failed reading. Default: 1 minute.
    #[must_use]
    pub fn refetch_every(mut self, pause: Duration) -> Self {
        self.refetch = pause;
        self
    }

    /// Timeout for a reading and for an opening that waits for it. Default: 5 s.
    #[must_use]
    pub fn timeout(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Largest document, in bytes. Default: 256 KiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Reads the keys now. For a program that must not start without keys.
    ///
    /// # Errors
    ///
    /// If the set cannot be read. Keys from an earlier reading stay valid.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes if the future is dropped.
    pub async fn load(&self) -> Result<(), JwksError> {
        let asked_at = Instant::now();
        let outcome = self.read().await;
        let failed = outcome.as_ref().err().copied();
        self.settle(asked_at, outcome);
        failed.map_or(Ok(()), Err)
    }

    /// The claims of `token`, if a key of the set signed it. May wait for up to two readings.
    pub(super) async fn verify(&self, token: &Token<'_>) -> Result<Vec<u8>, Refused> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(Refused::invalid("its algorithm is not one of those that are accepted"));
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
        let key = key.ok_or(Refused::NO_KEY)?;
        let untried = tried.is_none_or(|tried| !key.is(&tried));
        if untried && let Ok(claims) = token.verified_by(&key) {
            return Ok(claims);
        }
        // The token is forged, unless its key is newer than the set.
        let rejection = if fresh { Rejection::Invalid } else { Rejection::NotYet };
        Err(Refused::new(rejection, "its signature is wrong"))
    }

    /// The key for `token`, and whether the reading of the set began after `came_at`.
    fn known(&self, token: &Token<'_>, came_at: Instant) -> Result<(Option<VerifyingKey>, bool), Refused> {
        let state = self.state();
        let keys = state.keys.as_ref().ok_or(Refused::NO_SET)?;
        Ok((keys.find(token), state.read_at.is_some_and(|moment| moment >= came_at)))
    }

    /// Waits for the current reading, or for a new reading if the last one began at least `pause` ago.
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
                    // In a separate task, so that other openings still get the result if this client disconnects.
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
