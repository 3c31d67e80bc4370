use async_trait::async_trait;

use super::KeyExtractor;
use crate::handshake::Handshake;
use crate::key::Identity;
use crate::rejection::Rejection;

/// Makes an extractor from an async closure or function.
///
/// ```
/// use keywire::adapter::Handshake;
/// use keywire::auth::{Rejection, extract_fn};
/// use keywire::{Identity, Key};
///
/// async fn by_address(handshake: Handshake) -> Result<Identity, Rejection> {
///     let peer = handshake.peer().ok_or(Rejection::Missing)?;
///     let key = Key::new(peer.ip().to_string())?;
///     Ok(Identity::new(key))
/// }
///
/// let extractor = extract_fn(by_address);
/// # let _ = extractor;
/// ```
pub fn extract_fn<F, Fut>(function: F) -> ExtractFn<F>
where
    F: Fn(Handshake) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Identity, Rejection>> + Send,
{
    ExtractFn(function)
}

/// The extractor that [`extract_fn`] returns.
#[derive(Debug, Clone)]
pub struct ExtractFn<F>(F);

#[async_trait]
impl<F, Fut> KeyExtractor for ExtractFn<F>
where
    F: Fn(Handshake) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Identity, Rejection>> + Send,
{
    async fn extract(&self, handshake: &Handshake) -> Result<Identity, Rejection> {
        (self.0)(handshake.clone()).await
    }
}
