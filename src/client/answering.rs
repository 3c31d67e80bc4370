//! Answers the server's requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::app_call::call_app;
use crate::delivery::RequestError;
use crate::message::{Flag, Json, MessageId, Push};
use crate::text::cut;

/// The handlers for requests of the server, by their flag.
#[derive(Default)]
pub(super) struct Answerers(HashMap<Flag, Answerer>);

type Answerer = Arc<dyn Fn(Push) -> BoxFuture<'static, Result<Json, String>> + Send + Sync>;

/// Number of requests that are handled at a time. The server has the same limit.
const MOST: usize = 64;

impl Answerers {
    pub(super) fn insert<F, Fut, T, E>(&mut self, flag: Flag, handler: F)
    where
        F: Fn(Push) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: fmt::Display,
    {
        let answerer = move |push| -> BoxFuture<'static, Result<Json, String>> {
            let answer = handler(push);
            Box::pin(async move {
                let value = answer.await.map_err(|error| error.to_string())?;
                Json::new(&value).map_err(|error| error.to_string())
            })
        };
        self.0.insert(flag, Arc::new(answerer));
    }

    /// The subprotocol by which a client says that it answers requests.
    pub(super) fn protocol(&self) -> Option<&'static str> {
        (!self.0.is_empty()).then_some("answers.keywire")
    }
}

/// The handlers that run for one connection. They are dropped at its end.
#[derive(Default)]
pub(super) struct Answering(JoinSet<String>);

impl Answering {
    /// Begins to handle a request. Returns the answer if there is one at once.
    pub(super) fn begin(&mut self, answerers: &Answerers, push: Push) -> Option<String> {
        let id = push.id.clone()?;
        let Some(answerer) = push.flag.as_ref().and_then(|flag| answerers.0.get(flag)).cloned() else {
            return Some(failure(&id, "no handler for this flag"));
        };
        if self.0.len() >= MOST {
            return Some(failure(&id, "too many requests at a time"));
        }
        self.0.spawn(async move {
            match call_app(Duration::MAX, || answerer(push)).await {
                Ok(Ok(body)) => answer(&id, Some(&body), None),
                Ok(Err(error)) => failure(&id, &error),
                // The message of a panic may tell more than the server should know.
                Err(_) => failure(&id, "the handler panicked"),
            }
        });
        None
    }

    pub(super) fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// The next answer. `None`: no handler runs.
    ///
    /// No answer is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Option<String> {
        // Panics are caught, and no handler is aborted.
        self.0.join_next().await?.ok()
    }
}

fn failure(id: &MessageId, error: &str) -> String {
    answer(id, None, Some(cut(error, RequestError::MAX_BYTES)))
}

fn answer(id: &MessageId, body: Option<&Json>, error: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        flag: Flag,
        id: &'a MessageId,
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<&'a Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    // Cannot fail: all of it is JSON already, or a string.
    serde_json::to_string(&Answer { flag: Flag::ANSWER, id, body, error }).unwrap_or_default()
}
