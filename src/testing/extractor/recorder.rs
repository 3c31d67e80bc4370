use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::auth::KeyExtractor;
use crate::handshake::Handshake;
use crate::key::{Identity, Key};
use crate::rejection::Rejection;
use crate::testing::Tab;

/// A decorator calls the extractor that it wraps once for each of the calls that keywire makes: for an opening, and for a new
/// credential of an open session. A decorator that forgets [`refresh`](KeyExtractor::refresh) has the trait's default, which refuses
/// every new credential.
///
/// `wrap` puts the decorator around the [`Recorder`].
///
/// # Panics
///
/// If a call does not reach the inner extractor, or more than once.
pub async fn a_decorator_forwards<E: KeyExtractor>(wrap: impl FnOnce(Recorder) -> E) {
    let recorder = Recorder::default();
    let decorator = wrap(recorder.clone());
    let check = |method| assert_eq!(recorder.take(), [method], "calls of the inner extractor by `{method}`");

    let _ = decorator.extract(&Tab::builder().into()).await;
    check("extract");
    let _ = decorator.refresh("a credential").await;
    check("refresh");
}

/// An extractor that accepts every request as `alice` and remembers which of its methods were called. See [`a_decorator_forwards`].
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<&'static str>>>);

impl Recorder {
    fn record(&self, method: &'static str) -> Result<Identity, Rejection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(method);
        Ok(Identity::new(Key::new("alice")?))
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl KeyExtractor for Recorder {
    async fn extract(&self, _: &Handshake) -> Result<Identity, Rejection> {
        self.record("extract")
    }

    async fn refresh(&self, _: &str) -> Result<Identity, Rejection> {
        self.record("refresh")
    }
}
