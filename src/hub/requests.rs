//! Requests to several sessions. Those on other nodes: [`super::elsewhere`].

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
    /// Asks the clients of all sessions that `of` includes, on all nodes of a cluster, and returns the stream of their answers. Clients
    /// that answer no requests are skipped, see [`Session::can_be_asked`](crate::Session::can_be_asked).
    ///
    /// The push is as in [`Session::request`](crate::Session::request). It is encoded once for all of them. The timeout begins with
    /// this call.
    ///
    /// In a cluster each node asks its own sessions, and their answers arrive in the same stream. It does not end before
    /// [`Cluster::answer_timeout`](crate::cluster::Cluster::answer_timeout) (default: 1 s), since only then it is known that no other
    /// node has asked sessions. While the engine is away, sessions of this node are asked, and [`Answers::remote`] is
    /// [`Remote::Failed`](crate::store::Remote::Failed).
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
        let deadline = after(Instant::now(), timeout);
        let mut answers = Answers::until(deadline);
        let request = Request::new(match &of.target {
            Target::Group(group) if push.group.is_none() => push.with_group(group),
            _ => push,
        })?;
        let found = self.ask_sessions(&of, &request, &mut answers).await?;
        let is_elsewhere = match &of.target {
            // A session is on one node.
            Target::Session(..) => found == 0,
            Target::Keys(keys) => !keys.is_empty(),
            Target::Key(_) | Target::Group(_) | Target::Everyone => true,
        };
        if let Some(joined) = self.joined()
            && is_elsewhere
        {
            answers.also(joined.ask_elsewhere(&of, &request, deadline));
        }
        Ok(answers)
    }

    /// Asks the sessions of this node. Returns how many there are.
    pub(super) async fn ask_sessions(
        &self,
        of: &Recipients,
        request: &Request,
        answers: &mut Answers,
    ) -> Result<usize, RequestError> {
        let sessions = self.sessions_of(of).await.map_err(|_| RequestError::Unavailable)?;
        for (number, session) in sessions.iter().enumerate() {
            if number > 0 && number % ASKS_PER_POLL == 0 {
                yield_now().await;
            }
            answers.ask(session, request);
        }
        Ok(sessions.len())
    }
}
