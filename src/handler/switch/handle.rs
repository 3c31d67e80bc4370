//! [`MessageHandler`] for [`Switch`].

use std::future::ready;
use std::ops::ControlFlow;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Switch;
use crate::close::Closed;
use crate::handler::{
    Failure, HandlerError, HandlerResult, MessageHandler, Reply, log_failure, not_understood, unknown_flag,
};
use crate::key::Key;
use crate::message::Envelope;
use crate::session::Session;
use crate::text::Text;

impl<S: Send + Sync + 'static> Switch<S> {
    fn route<'a>(&'a self, session: &'a Session, envelope: Envelope) -> BoxFuture<'a, HandlerResult> {
        match (self.routes.get(&envelope.flag).or(self.unknown.as_ref()), &self.fallback) {
            (Some(route), _) => route.call(session, envelope),
            (None, Some(fallback)) => fallback.message(session, envelope),
            (None, None) => Box::pin(ready(Ok(unknown_flag()))),
        }
    }

    async fn checked(&self, session: &Session, mut envelope: Envelope) -> HandlerResult {
        for before in &self.before {
            envelope = before((session.clone(), envelope)).await?;
        }
        self.route(session, envelope).await
    }

    async fn watched(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        let mut result = self.checked(session, envelope.clone()).await;
        for after in &self.after {
            result = after((session.clone(), envelope.clone(), result)).await;
        }
        result
    }
}

#[async_trait]
impl<S: Send + Sync + 'static> MessageHandler for Switch<S> {
    async fn message(&self, session: &Session, envelope: Envelope) -> HandlerResult {
        // Boxed only if there are hooks, so that a switch without hooks needs no allocation.
        let result = match (&*self.before, &*self.after) {
            ([], []) => self.route(session, envelope),
            (_, []) => Box::pin(self.checked(session, envelope)),
            _ => Box::pin(self.watched(session, envelope)),
        };
        result.await
    }

    async fn text(&self, session: &Session, text: Text) -> Result<ControlFlow<Reply, Text>, HandlerError> {
        match (&self.text, &self.fallback) {
            (Some(hook), _) => hook((session.clone(), text)).await,
            (None, Some(fallback)) => fallback.text(session, text).await,
            (None, None) => Ok(ControlFlow::Continue(text)),
        }
    }

    fn text_now(&self, session: &Session, text: &str) -> Option<Result<ControlFlow<Reply>, HandlerError>> {
        match (&self.text, &self.fallback) {
            (Some(_), _) => None,
            (None, Some(fallback)) => fallback.text_now(session, text),
            (None, None) => Some(Ok(ControlFlow::Continue(()))),
        }
    }

    async fn binary(&self, session: &Session, bytes: Bytes) -> HandlerResult {
        match (&self.binary, &self.fallback) {
            (Some(hook), _) => hook((session.clone(), bytes)).await,
            (None, Some(fallback)) => fallback.binary(session, bytes).await,
            (None, None) => Ok(not_understood()),
        }
    }

    async fn opened(&self, session: &Session) -> HandlerResult {
        match (&self.opened, &self.fallback) {
            (Some(hook), _) => hook((session.clone(),)).await,
            (None, Some(fallback)) => fallback.opened(session).await,
            (None, None) => Ok(Reply::none()),
        }
    }

    async fn closed(&self, session: &Session, closed: &Closed) {
        match (&self.closed, &self.fallback) {
            (Some(hook), _) => hook((session.clone(), closed.clone())).await,
            (None, Some(fallback)) => fallback.closed(session, closed).await,
            (None, None) => {}
        }
    }

    async fn joined(&self, key: &Key) {
        match (&self.joined, &self.fallback) {
            (Some(hook), _) => hook((key.clone(),)).await,
            (None, Some(fallback)) => fallback.joined(key).await,
            (None, None) => {}
        }
    }

    async fn left(&self, key: &Key) {
        match (&self.left, &self.fallback) {
            (Some(hook), _) => hook((key.clone(),)).await,
            (None, Some(fallback)) => fallback.left(key).await,
            (None, None) => {}
        }
    }

    async fn failed(&self, session: &Session, failure: &Failure) {
        match (&self.failed, &self.fallback) {
            (Some(hook), _) => hook((session.clone(), failure.to_string())).await,
            (None, Some(fallback)) => fallback.failed(session, failure).await,
            (None, None) => log_failure(session, failure),
        }
    }
}
