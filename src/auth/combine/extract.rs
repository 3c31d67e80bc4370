//! How combined extractors extract and refresh.

use async_trait::async_trait;

use super::{AndThen, Map, Or};
use crate::auth::KeyExtractor;
use crate::handshake::Handshake;
use crate::key::Identity;
use crate::rejection::Rejection;

#[async_trait]
impl<A: KeyExtractor, B: KeyExtractor> KeyExtractor for Or<A, B> {
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        match self.first.extract(handshake).await {
            Err(none @ (Rejection::Missing | Rejection::Ambiguous)) => {
                match self.second.extract(handshake).await {
                    // An ambiguous cookie stays ambiguous, so that the client comes back.
                    Err(Rejection::Missing) => Err(none),
                    decided => decided,
                }
            }
            decided => decided,
        }
    }

    /// Accepts a credential that either extractor accepts. A refresh has only one place for a credential, and the client does not
    /// know which of the two extractors accepted its opening.
    async fn refresh(&self, credential: &str) -> Result<Identity, Rejection> {
        match self.first.refresh(credential).await {
            Ok(identity) => Ok(identity),
            Err(first) => match self.second.refresh(credential).await {
                Err(Rejection::Missing) => Err(first),
                decided => decided,
            },
        }
    }
}

#[async_trait]
impl<E, F> KeyExtractor for Map<E, F>
where
    E: KeyExtractor,
    F: Fn(Identity) -> Identity + Send + Sync + 'static,
{
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        self.extractor.extract(handshake).await.map(&self.change)
    }

    async fn refresh(&self, credential: &str) -> Result<Identity, Rejection> {
        self.extractor.refresh(credential).await.map(&self.change)
    }
}

#[async_trait]
impl<E, F, Fut> KeyExtractor for AndThen<E, F>
where
    E: KeyExtractor,
    F: Fn(Identity) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Identity, Rejection>> + Send,
{
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        self.check(self.extractor.extract(handshake).await?).await
    }

    async fn refresh(&self, credential: &str) -> Result<Identity, Rejection> {
        self.check(self.extractor.refresh(credential).await?).await
    }
}

impl<E, F, Fut> AndThen<E, F>
where
    F: Fn(Identity) -> Fut,
    Fut: Future<Output = Result<Identity, Rejection>>,
{
    async fn check(&self, identity: Identity) -> Result<Identity, Rejection> {
        match (self.check)(identity).await {
            // The request has a credential, so no other extractor may decide, whatever else `check` misses.
            Err(Rejection::Missing | Rejection::Ambiguous) => Err(Rejection::Invalid),
            decided => decided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::RawKey;
    use crate::key::Key;

    fn handshake(uri: &str) -> Handshake {
        Handshake::new(http::Request::get(uri).body(()).unwrap())
    }

    #[tokio::test]
    async fn only_an_absent_credential_falls_through() {
        let keys = RawKey::from_query("a").or(RawKey::from_query("b"));
        let key = async |uri| keys.extract(&handshake(uri)).await.map(|identity| identity.key().to_string());
        assert_eq!(key("/?a=1&b=2").await, Ok("1".into()));
        assert_eq!(key("/?b=2").await, Ok("2".into()));
        assert_eq!(key("/").await, Err(Rejection::Missing));
        assert_eq!(key("/?a=%00&b=2").await, Err(Rejection::Malformed));
    }

    /// Another page of the host may have added the second cookie.
    #[tokio::test]
    async fn an_ambiguous_cookie_falls_through_and_stays_ambiguous() {
        let cookie = || RawKey::from_cookie("id");
        let key = async |keys: &dyn KeyExtractor, uri: &str, cookies: &str| {
            let request = http::Request::get(uri).header("cookie", cookies).body(()).unwrap();
            keys.extract(&Handshake::new(request)).await.map(|identity| identity.key().to_string())
        };
        for keys in [cookie().or(RawKey::from_query("a")), RawKey::from_query("a").or(cookie())] {
            assert_eq!(key(&keys, "/?a=1", "id=2; id=3").await, Ok("1".into()));
            assert_eq!(key(&keys, "/", "id=2; id=3").await, Err(Rejection::Ambiguous));
            assert_eq!(key(&keys, "/", "id=2; id=2").await, Ok("2".into()));
        }
        assert_eq!(key(&cookie(), "/", "id=2; id=3").await, Err(Rejection::Ambiguous));
        // A later check runs only if there is a credential.
        let keys = cookie().and_then(|_: Identity| async { Err(Rejection::Ambiguous) });
        assert_eq!(key(&keys, "/", "id=2").await, Err(Rejection::Invalid));
    }

    #[tokio::test]
    async fn a_check_refuses_and_its_missing_is_not_an_absent_credential() {
        let keys = RawKey::from_query("a")
            .and_then(|_: Identity| async { Err(Rejection::Missing) })
            .or(RawKey::from_query("b"));
        assert_eq!(keys.extract(&handshake("/?a=1&b=2")).await.unwrap_err(), Rejection::Invalid);
    }

    #[tokio::test]
    async fn map_changes_the_identity() {
        let keys = RawKey::from_query("a")
            .map(|identity| Identity::new(Key::new(format!("user:{}", identity.key())).unwrap()));
        assert_eq!(keys.extract(&handshake("/?a=1")).await.unwrap().key().as_str(), "user:1");
    }
}
