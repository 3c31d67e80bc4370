use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{HandlerError, HandlerResult, MessageHandler, Reply};
use crate::message::{Envelope, InvalidBody};
use crate::session::Session;

/// The route of a [`Switch`](super::Switch) for one flag. [`RouteKind`] makes it.
#[derive(Clone)]
pub struct Route(Arc<Call>);

type Call = dyn Fn(&Session, Envelope) -> BoxFuture<'static, HandlerResult> + Send + Sync;

impl Route {
    fn new(
        call: impl Fn(&Session, Envelope) -> BoxFuture<'static, HandlerResult> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(call))
    }

    fn of<T, Fut, R>(function: impl Fn(Session, T) -> Fut + Send + Sync + 'static) -> Self
    where
        T: Body,
        Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Reply>,
    {
        Self::new(move |session, envelope| match T::read(envelope) {
            Ok(body) => {
                let answer = function(session.clone(), body);
                Box::pin(async move { answer.await.map(Into::into) })
            }
            Err(error) => Box::pin(std::future::ready(HandlerError::from(error).into_reply())),
        })
    }

    pub(super) fn call(&self, session: &Session, envelope: Envelope) -> BoxFuture<'static, HandlerResult> {
        (self.0)(session, envelope)
    }
}

/// A handler for one flag of a [`Switch`](super::Switch). It is a closure, a named function or a [`MessageHandler`]:
///
/// - `async fn(Session, T) -> Result<R, HandlerError>` with any `T` that serde can deserialize. It gets the parsed body. If the body
///   is not a `T`, the client gets code `40` and the reason.
/// - `async fn(Session, Envelope) -> Result<R, HandlerError>`. It gets the whole message.
/// - Each of these two with an `Arc<S>` as the first argument, for [`Switch::with`] of an `S`. A method with `self: Arc<Self>` is
///   such a function.
/// - Any [`MessageHandler`].
///
/// `R` is a [`Reply`], a [`Push`](crate::Push) or `()`. The type parameter distinguishes functions and handlers. You never write
/// it out.
///
/// If your own function passes a handler on to a `Switch`, give it the same bounds as [`Switch::on`]:
///
/// ```
/// use keywire::handler::{IntoRoute, RouteKind};
/// use keywire::Switch;
///
/// fn typing<S, H, Kind>(switch: Switch<S>, handler: H) -> Switch<S>
/// where
///     S: Send + Sync + 'static,
///     H: IntoRoute<Kind>,
///     Kind: RouteKind<H, S>,
/// {
///     switch.on("typing", handler)
/// }
/// ```
///
/// [`Switch::on`]: super::Switch::on
/// [`Switch::with`]: super::Switch::with
// Two traits give better compiler messages: the arguments alone determine the kind, and the compiler then compares the
// function with a single implementation of `RouteKind`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message handler: its arguments are not those of one",
    label = "expected `async fn(Session, T)`, `async fn(Arc<State>, Session, T)` or a `MessageHandler`",
    note = "a handler function takes by value and in this order: an `Arc` of the switch's state if it uses it, a `Session`, \
            then an `Envelope` or a type that implements `serde::Deserialize`",
    note = "a closure has to name the types: `|session: Session, envelope: Envelope| async move {{ .. }}`"
)]
pub trait IntoRoute<Kind> {}

/// The other requirements for a handler of a kind. A function must be async, return a [`HandlerResult`], and be callable any number
/// of times (`Fn`) from any thread (`Send + Sync + 'static`, its future `Send`). If it takes a state, this must be the state of the
/// switch. See [`IntoRoute`].
pub trait RouteKind<H, S = ()> {
    /// Makes the route.
    fn route(handler: H, state: &Arc<S>) -> Route;
}

/// Kind of functions that take a `T` and return an `Answer`.
#[derive(Debug)]
pub struct Function<T, Answer>(std::convert::Infallible, PhantomData<(T, Answer)>);

/// Kind of functions that take an `Arc<S>` and a `T` and return an `Answer`.
#[derive(Debug)]
pub struct StateFunction<S, T, Answer>(std::convert::Infallible, PhantomData<(S, T, Answer)>);

/// Kind of [`MessageHandler`]s.
#[derive(Debug)]
pub enum Handler {}

impl<F, T, Answer> IntoRoute<Function<T, Answer>> for F where F: FnOnce(Session, T) -> Answer {}

impl<F, S, T, Answer> IntoRoute<StateFunction<S, T, Answer>> for F where
    F: FnOnce(Arc<S>, Session, T) -> Answer
{
}

impl<H: MessageHandler> IntoRoute<Handler> for H {}

impl<F, S, T, Fut, R> RouteKind<F, S> for Function<T, Fut>
where
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Reply>,
    T: Body,
    F: Fn(Session, T) -> Fut + Send + Sync + 'static,
{
    fn route(function: F, _: &Arc<S>) -> Route {
        Route::of(function)
    }
}

impl<F, S, Own, T, Fut, R> RouteKind<F, Own> for StateFunction<S, T, Fut>
where
    S: Send + Sync + 'static,
    Own: HasState<S>,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Reply>,
    T: Body,
    F: Fn(Arc<S>, Session, T) -> Fut + Send + Sync + 'static,
{
    fn route(function: F, state: &Arc<Own>) -> Route {
        let state = Own::state(state);
        Route::of(move |session, body| function(state.clone(), session, body))
    }
}

impl<H: MessageHandler, S> RouteKind<H, S> for Handler {
    fn route(handler: H, _: &Arc<S>) -> Route {
        let handler = Arc::new(handler);
        Route::new(move |session, envelope| {
            let (handler, session) = (handler.clone(), session.clone());
            Box::pin(async move { handler.message(&session, envelope).await })
        })
    }
}

/// The state that a switch passes to its functions.
// `Self` is always `S`. The trait gives a better compiler message, since the compiler then checks the function first.
#[diagnostic::on_unimplemented(
    message = "the function takes the state `{S}`, and the state of this switch is `{Self}`",
    label = "this needs `Switch::with` and a `{S}`",
    note = "`Switch::with(state)` gives a switch its state, and its functions take an `Arc` of it"
)]
pub trait HasState<S> {
    /// The state.
    fn state(own: &Arc<Self>) -> Arc<S>;
}

impl<S> HasState<S> for S {
    fn state(own: &Arc<S>) -> Arc<S> {
        own.clone()
    }
}

/// The last argument of a function: an [`Envelope`] or a type to parse its body into.
pub trait Body: Sized {
    /// Reads the argument from a message.
    fn read(envelope: Envelope) -> Result<Self, InvalidBody>;
}

impl Body for Envelope {
    fn read(envelope: Envelope) -> Result<Self, InvalidBody> {
        Ok(envelope)
    }
}

impl<T: DeserializeOwned> Body for T {
    fn read(envelope: Envelope) -> Result<Self, InvalidBody> {
        envelope.parse()
    }
}
