//! Requests to several sessions.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use super::Hub;
use crate::deadline::after;
use crate::delivery::{Recipients, RequestError, Target};
use crate::message::Push;
use crate::session::{Answers, Request};

/// Number of sessions that are asked before other tasks have a turn.
const ASKS_PER_POLL: usize = 256;

impl Hub {
    /// Asks the clients of all sessions of this node that `of` includes, and returns the stream of their answers. Clients that
    /// answer no requests are skipped, see [`Session::can_be_asked`](crate::Session::can_be_asked). Sessions of other nodes of a
    /// cluster are not asked.
    ///
    /// The push is as in [`Session::request`](crate::Session::request). It is encoded once for all of them. The timeout begins with
    /// this call.
    ///
    /// Whether alice looks at one of her tabs:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use keywire::{Hub, Key, Push};
    ///
    /// # async fn example(hub: Hub) -> Result<bool, Box<dyn std::error::Error>> {
    /// let question = Push::message("").with_flag("visible");
    /// let mut answers = hub.request(Key::new("alice")?, question, Duration::from_secs(2)).await?;
    /// while let Some(answered) = answers.next().await {
    ///     if answered.answer.is_ok_and(|answer| answer.body().unwrap_or(false)) {
    ///         return Ok(true);
    ///     }
    /// }
    /// # Ok(false)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RequestError::Invalid`] if the push cannot be a request, [`RequestError::Unavailable`] if the store fails. What fails for
    /// one session is in the stream.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the clients may have got the request. Their answers are ignored.
    pub async fn request(
        &self,
        of: impl Into<Recipients>,
        push: Push,
        timeout: Duration,
    ) -> Result<Answers, RequestError> {
        let of = of.into();
        let mut answers = Answers::until(after(Instant::now(), timeout));
        let request = Request::new(match &of.target {
            Target::Group(group) if push.group.is_none() => push.with_group(group),
            _ => push,
        })?;
        let sessions = self.sessions_of(&of).await.map_err(|_| RequestError::Unavailable)?;
        for (number, session) in sessions.iter().enumerate() {
            if number > 0 && number % ASKS_PER_POLL == 0 {
                yield_now().await;
            }
            answers.ask(session, &request);
        }
        Ok(answers)
    }
}
