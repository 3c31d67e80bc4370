use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{HandlerError, HandlerResult, MessageHandler, Reply};
use crate::excerpt::Excerpt;
use crate::message::{Code, Envelope};
use crate::session::Session;

/// What a [`Switch`](super::Switch) does with the messages of one flag. Made by [`IntoRoute`].
#[derive(Clone)]
pub struct Route(Arc<Call>);

type Call = dyn Fn(&Session, Envelope) -> BoxFuture<'static, HandlerResult> + Send + Sync;

impl Route {
    fn new(
        call: impl Fn(&Session, Envelope) -> BoxFuture<'static, HandlerResult> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(call))
    }

    pub(super) fn call(&self, session: &Session, envelope: Envelope) -> BoxFuture<'static, HandlerResult> {
        (self.0)(session, envelope)
    }
}

/// What a [`Switch`](super::Switch) takes for a flag. Each of these, closure or named function alike:
///
/// - `async fn(Session, T) -> Result<R, HandlerError>` with any `T` that serde can read: the body is parsed,
///   and one that is no `T` is answered with code `40` and what is wrong with it;
/// - `async fn(Session, Envelope) -> Result<R, HandlerError>`: the message as it came;
/// - any [`MessageHandler`], which switches over the flag itself.
///
/// `R` is a [`Reply`], a [`Push`](crate::Push) or `()`. The type parameter only keeps the three apart; it is
/// never written out.
pub trait IntoRoute<Kind> {
    /// The route.
    fn into_route(self) -> Route;
}

/// Keeps [`IntoRoute`]'s implementations apart.
#[derive(Debug)]
pub struct Typed<T>(std::convert::Infallible, std::marker::PhantomData<T>);

/// Keeps [`IntoRoute`]'s implementations apart.
#[derive(Debug)]
pub enum Whole {}

/// Keeps [`IntoRoute`]'s implementations apart.
#[derive(Debug)]
pub enum Handler {}

impl<F, Fut, R, T> IntoRoute<Typed<T>> for F
where
    F: Fn(Session, T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Reply>,
    T: DeserializeOwned,
{
    fn into_route(self) -> Route {
        Route::new(move |session, envelope| match envelope.parse::<T>() {
            Ok(body) => {
                let answer = self(session.clone(), body);
                Box::pin(async move { answer.await.map(Into::into) })
            }
            Err(error) => {
                // The error may quote a body of any length.
                let error = error.to_string();
                let reply = Reply::error(Code::MALFORMED, format!("body: {}", Excerpt(&error)));
                Box::pin(std::future::ready(Ok(reply)))
            }
        })
    }
}

impl<F, Fut, R> IntoRoute<Whole> for F
where
    F: Fn(Session, Envelope) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Reply>,
{
    fn into_route(self) -> Route {
        Route::new(move |session, envelope| {
            let answer = self(session.clone(), envelope);
            Box::pin(async move { answer.await.map(Into::into) })
        })
    }
}

impl<H: MessageHandler> IntoRoute<Handler> for H {
    fn into_route(self) -> Route {
        let handler = Arc::new(self);
        Route::new(move |session, envelope| {
            let (handler, session) = (handler.clone(), session.clone());
            Box::pin(async move { handler.message(&session, envelope).await })
        })
    }
}
