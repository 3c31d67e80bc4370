mod handle;
mod hooks;

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::{HandlerError, HandlerResult, Hook, IntoRoute, MessageHandler, Reply, Route, RouteKind};
use crate::close::Closed;
use crate::key::Key;
use crate::message::{Envelope, Flag};
use crate::session::Session;
use crate::text::Text;

/// A [`MessageHandler`] that selects a closure, function or other handler by the flag of the message.
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
/// [`IntoRoute`] lists the kinds of handlers.
///
/// # State
///
/// [`Switch::with`] takes a state of the application. A function that needs the state takes an `Arc` of it as its first argument.
/// Other routes and hooks may omit it. A method with `self: Arc<Self>` is such a function:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use keywire::session::Closed;
/// use keywire::{HandlerResult, Reply, Session, Switch};
/// use serde::Deserialize;
///
/// #[derive(Default)]
/// struct Shop {
///     orders: AtomicU64,
/// }
///
/// #[derive(Deserialize)]
/// struct Order {
///     article: String,
/// }
///
/// impl Shop {
///     async fn order(self: Arc<Self>, session: Session, order: Order) -> HandlerResult {
///         let number = self.orders.fetch_add(1, Ordering::Relaxed);
///         Ok(Reply::ok(format!("{} for {} is order {number}", order.article, session.key())))
///     }
///
///     async fn left(self: Arc<Self>, session: Session, _: Closed) {
///         println!("{} left after {} orders in all", session.key(), self.orders.load(Ordering::Relaxed));
///     }
/// }
///
/// let switch = Switch::with(Shop::default())
///     .command(Shop::order)
///     .on("count", |shop: Arc<Shop>, _: Session, (): ()| async move {
///         Ok(Reply::data(shop.orders.load(Ordering::Relaxed)))
///     })
///     .closed(Shop::left);
/// # let _ = switch;
/// ```
///
/// # Middleware
///
/// [`before`](Self::before) gets every message before the handler and may answer in its place. [`after`](Self::after) gets the
/// result. [`fallback`](Self::fallback) wraps any handler, so you need not forward its methods:
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use keywire::handler::HandlerError;
/// use keywire::message::Code;
/// use keywire::{Envelope, HandlerResult, Key, MessageHandler, Reply, Session, Switch};
///
/// struct Guard {
///     admins: HashSet<Key>,
///     errors: AtomicU64,
/// }
///
/// impl Guard {
///     /// Only admins give commands.
///     async fn authorise(self: Arc<Self>, session: Session, envelope: Envelope) -> Result<Envelope, HandlerError> {
///         if envelope.flag.as_str() == "command" && !self.admins.contains(session.key()) {
///             Err(Reply::error(Code::FORBIDDEN, "for admins"))?;
///         }
///         Ok(envelope)
///     }
///
///     async fn count(self: Arc<Self>, _: Session, _: Envelope, result: HandlerResult) -> HandlerResult {
///         if result.is_err() {
///             self.errors.fetch_add(1, Ordering::Relaxed);
///         }
///         result
///     }
///
///     fn around(self, handler: impl MessageHandler) -> Switch<Self> {
///         Switch::with(self).before(Self::authorise).after(Self::count).fallback(handler)
///     }
/// }
///
/// async fn log(session: Session, envelope: Envelope) -> Result<Envelope, HandlerError> {
///     println!("{} sends {:?}", session.key(), envelope.flag);
///     Ok(envelope)
/// }
///
/// # fn example(app: Switch) {
/// let guard = Guard { admins: HashSet::new(), errors: AtomicU64::new(0) };
/// let handler = guard.around(app).before(log);
/// # let _ = handler;
/// # }
/// ```
pub struct Switch<S = ()> {
    state: Arc<S>,
    routes: HashMap<Flag, Route>,
    unknown: Option<Route>,
    opened: Option<Hook<(Session,), HandlerResult>>,
    closed: Option<Hook<(Session, Closed), ()>>,
    joined: Option<Hook<(Key,), ()>>,
    left: Option<Hook<(Key,), ()>>,
    failed: Option<Hook<(Session, String), ()>>,
    text: Option<TextHook>,
    binary: Option<Hook<(Session, Bytes), HandlerResult>>,
    before: Vec<Hook<(Session, Envelope), Result<Envelope, HandlerError>>>,
    after: Vec<Hook<(Session, Envelope, HandlerResult), HandlerResult>>,
    fallback: Option<Arc<dyn MessageHandler>>,
}

type TextHook = Hook<(Session, Text), Result<ControlFlow<Reply, Text>, HandlerError>>;

impl Switch {
    /// A switch without state and routes. It replies with code `44` to all messages.
    #[must_use]
    pub fn new() -> Self {
        Self::with(())
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Send + Sync + 'static> Switch<S> {
    /// A switch with a state and without routes. Its functions may take an `Arc` of `state` as their first argument.
    #[must_use]
    pub fn with(state: S) -> Self {
        Self::with_shared(Arc::new(state))
    }

    /// [`Switch::with`] for a state that is already in an `Arc`.
    ///
    /// ```
    /// use std::collections::HashSet;
    /// use std::sync::{Arc, Mutex};
    ///
    /// use keywire::{HandlerResult, Reply, Session, Switch};
    ///
    /// type Names = Mutex<HashSet<String>>;
    ///
    /// async fn rename(names: Arc<Names>, _: Session, name: String) -> HandlerResult {
    ///     let mut names = names.lock().map_err(|_| "names")?;
    ///     Ok(Reply::data(names.insert(name)))
    /// }
    ///
    /// let names = Arc::new(Names::default());
    /// let switch = Switch::with_shared(names.clone()).command(rename);
    /// # let _ = switch;
    /// ```
    #[must_use]
    pub fn with_shared(state: Arc<S>) -> Self {
        Self {
            state,
            routes: HashMap::new(),
            unknown: None,
            opened: None,
            closed: None,
            joined: None,
            left: None,
            failed: None,
            text: None,
            binary: None,
            before: Vec::new(),
            after: Vec::new(),
            fallback: None,
        }
    }

    /// Adds the route for `command`.
    ///
    /// # Panics
    ///
    /// If the switch already has a route for `command`.
    #[must_use]
    pub fn command<H, Kind>(self, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H, S>,
    {
        self.on(Flag::COMMAND, handler)
    }

    /// Adds the route for `inform`.
    ///
    /// # Panics
    ///
    /// If the switch already has a route for `inform`.
    #[must_use]
    pub fn inform<H, Kind>(self, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H, S>,
    {
        self.on(Flag::INFORM, handler)
    }

    /// Adds the route for this flag.
    ///
    /// # Panics
    ///
    /// If the switch already has a route for the flag, or if the flag begins with `kw:`, since such messages never reach a handler.
    #[must_use]
    pub fn on<H, Kind>(mut self, flag: impl Into<Flag>, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H, S>,
    {
        let flag = flag.into();
        assert!(
            !flag.is_reserved(),
            "the flag {flag} must not begin with kw:, since these flags are keywire's own"
        );
        let former = self.routes.insert(flag.clone(), Kind::route(handler, &self.state));
        assert!(former.is_none(), "the flag {flag} must have only one handler");
        self
    }

    /// Adds the route for all other flags.
    ///
    /// # Panics
    ///
    /// If the switch already has such a route.
    #[must_use]
    pub fn unknown<H, Kind>(mut self, handler: H) -> Self
    where
        H: IntoRoute<Kind>,
        Kind: RouteKind<H, S>,
    {
        let former = self.unknown.replace(Kind::route(handler, &self.state));
        assert!(former.is_none(), "unknown flags must have only one handler");
        self
    }
}

impl<S> fmt::Debug for Switch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").field("flags", &self.routes.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing(_: Session, _: Envelope) -> HandlerResult {
        Ok(Reply::none())
    }

    #[test]
    #[should_panic(expected = "command must have only one handler")]
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
