use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::{Failure, HandlerError, HandlerResult, IntoRoute, MessageHandler, Reply, Route, RouteKind};
use crate::close::Closed;
use crate::message::{Code, Envelope, Flag};
use crate::session::Session;

/// A [`MessageHandler`] built out of closures, functions and other handlers, one for each flag.
///
/// ```
/// use keywire::{Envelope, Push, Reply, Session, Switch};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Mine {
///     difficulty: u8,
/// }
///
/// async fn typing(session: Session, envelope: Envelope) -> keywire::HandlerResult {
///     if let Some(to) = &envelope.reception {
///         session.hub().send_to(to, Push::message("").with_flag("typing").with_sender(session.key())).await;
///     }
///     Ok(Reply::none())
/// }
///
/// let switch = Switch::new()
///     .command(|session: Session, mine: Mine| async move {
///         session.send(Push::data(mine.difficulty));
///         Ok(Reply::ok("mining"))
///     })
///     .on("typing", typing)
///     .opened(|session: Session| async move { Ok(Reply::ok(format!("hello {}", session.key()))) });
/// # let _ = switch;
/// ```
///
/// What a flag can be given is listed at [`IntoRoute`].
#[derive(Default)]
pub struct Switch {
    routes: HashMap<Flag, Route>,
    unknown: Option<Route>,
    opened: Option<Hook<(), HandlerResult>>,
    closed: Option<Hook<Closed, ()>>,
    failed: Option<Hook<String, ()>>,
}

type Hook<A, R> = Box<dyn Fn(Session, A) -> BoxFuture<'static, R> + Send + Sync>;

impl Switch {
    /// A switch that knows no flag yet and answers code `44` to all of them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a `command` does.
    ///
    /// # Panics
    ///
    /// When `command` was given already.
    #[must_use]
    pub fn command<H, Kind>(self, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H>,
    {
        self.on(Flag::COMMAND, handler)
    }

    /// What an `inform` does.
    ///
    /// # Panics
    ///
    /// When `inform` was given already.
    #[must_use]
    pub fn inform<H, Kind>(self, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H>,
    {
        self.on(Flag::INFORM, handler)
    }

    /// What messages with this flag do.
    ///
    /// # Panics
    ///
    /// When the flag was given already, or begins with `kw:`, whose flags never arrive here.
    #[must_use]
    pub fn on<H, Kind>(mut self, flag: impl Into<Flag>, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H>,
    {
        let flag = flag.into();
        assert!(!flag.is_reserved(), "flags that begin with kw: are keywire's own: {flag}");
        let former = self.routes.insert(flag.clone(), Kind::route(handler));
        assert!(former.is_none(), "the flag {flag} was given two handlers");
        self
    }

    /// What messages with any other flag do.
    ///
    /// # Panics
    ///
    /// When it was given already.
    #[must_use]
    pub fn unknown<H, Kind>(mut self, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H>,
    {
        let former = self.unknown.replace(Kind::route(handler));
        assert!(former.is_none(), "unknown flags were given two handlers");
        self
    }

    /// What happens when a session has opened, see [`MessageHandler::opened`].
    #[must_use]
    pub fn opened<Fut, R>(mut self, hook: impl Fn(Session) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Reply>,
    {
        self.opened = Some(Box::new(move |session, ()| {
            let answer = hook(session);
            Box::pin(async move { answer.await.map(Into::into) })
        }));
        self
    }

    /// What happens when a session has closed, see [`MessageHandler::closed`].
    #[must_use]
    pub fn closed<Fut>(mut self, hook: impl Fn(Session, Closed) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.closed = Some(Box::new(move |session, closed| Box::pin(hook(session, closed))));
        self
    }

    /// What happens when a handler fails, in place of the log entry, see [`MessageHandler::failed`]. The
    /// closure gets the failure as text.
    #[must_use]
    pub fn failed<Fut>(mut self, hook: impl Fn(Session, String) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.failed = Some(Box::new(move |session, failure| Box::pin(hook(session, failure))));
        self
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").field("flags", &self.routes.keys()).finish_non_exhaustive()
    }
}

#[async_trait]
impl MessageHandler for Switch {
    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        match self.routes.get(&envelope.flag).or(self.unknown.as_ref()) {
            Some(route) => route.call(session, envelope).await,
            None => Ok(Reply::error(Code::UNKNOWN_FLAG, "nobody handles this flag")),
        }
    }

    async fn opened(&self, session: &Session) -> HandlerResult {
        match &self.opened {
            Some(hook) => hook(session.clone(), ()).await,
            None => Ok(Reply::none()),
        }
    }

    async fn closed(&self, session: &Session, closed: &Closed) {
        if let Some(hook) = &self.closed {
            hook(session.clone(), closed.clone()).await;
        }
    }

    async fn failed(&self, session: &Session, failure: &Failure) {
        match &self.failed {
            Some(hook) => hook(session.clone(), failure.to_string()).await,
            None => super::log_failure(session, failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing(_: Session, _: Envelope) -> HandlerResult {
        Ok(Reply::none())
    }

    #[test]
    #[should_panic(expected = "command was given two handlers")]
    fn a_flag_has_one_handler() {
        let _ = Switch::new().command(nothing).on("command", nothing);
    }

    #[test]
    #[should_panic(expected = "keywire's own")]
    fn reserved_flags_have_none() {
        let _ = Switch::new().on("kw:ping", nothing);
    }

    #[test]
    fn takes_closures_functions_and_handlers() {
        let switch = Switch::new()
            .command(|_: Session, _: Vec<u8>| async { Ok(Reply::none()) })
            .inform(|_: Session, _: Envelope| async { Ok(()) })
            .on("function", nothing)
            .on("handler", Switch::new())
            .unknown(super::super::handler_fn(nothing));
        assert_eq!(switch.routes.len(), 4);
    }
}
