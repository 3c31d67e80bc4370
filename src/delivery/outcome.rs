use serde::{Deserialize, Serialize};

use super::Kept;
use crate::key::InvalidKey;

/// Result of sending one message to one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// Queued, behind what was sent before.
    Accepted,
    /// Queued. This many older messages to the same slow client were dropped to make room
    /// ([`SlowPolicy::DropOldest`](crate::limits::SlowPolicy::DropOldest)).
    Displaced(usize),
    /// Dropped, with this many messages in it: the queue of this slow client is full
    /// ([`SlowPolicy::DropNewest`](crate::limits::SlowPolicy::DropNewest)). The session stays open.
    Dropped(usize),
    /// Not queued: the queue of this slow client is full, and the session is being closed with 4003.
    Slow,
    /// Not queued: the session has ended or is ending.
    Gone,
}

impl Outcome {
    /// Whether the session queued the message: [`Accepted`](Self::Accepted), [`Displaced`](Self::Displaced).
    #[must_use]
    pub fn is_queued(self) -> bool {
        matches!(self, Self::Accepted | Self::Displaced(_))
    }

    /// Whether the session has ended or is ending, and takes no further message: [`Gone`](Self::Gone),
    /// [`Slow`](Self::Slow). For a list of sessions of your own:
    ///
    /// ```
    /// use keywire::Session;
    /// use keywire::message::Frame;
    ///
    /// fn tell(subscribers: &mut Vec<Session>, frame: &Frame) {
    ///     subscribers.retain(|session| !session.send_frame(frame).is_gone());
    /// }
    /// ```
    #[must_use]
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Slow | Self::Gone)
    }
}

/// Result of sending to recipients: how many sessions took the message, so that a backend can fall back to mail.
///
/// "Delivered" means that an open session took the message into its queue. Only the page can tell whether a person
/// saw it.
///
/// ```
/// # async fn example(hub: keywire::Hub) {
/// use keywire::Push;
///
/// let delivery = hub.send_to("alice", Push::message("your order has left")).await;
/// if delivery.is_absent() {
///     // send a mail
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Delivery {
    /// Sessions of this node that took the message.
    pub delivered: usize,
    /// Sessions of slow clients that are being closed.
    pub slow: usize,
    /// Messages dropped for slow clients that stay connected: this one where it was not taken, older ones where it was.
    /// 0 with [`SlowPolicy::Close`](crate::limits::SlowPolicy::Close).
    pub dropped: usize,
    /// The store failed or took too long ([`Config::store_timeout`](crate::Config::store_timeout)). More sessions than
    /// counted here may have got the message.
    pub incomplete: bool,
    /// The recipient's key was not a valid [`Key`](crate::Key), or the group not a valid [`Group`](crate::session::Group), so nobody could
    /// have the message. Also logged, at `warn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid_key: Option<InvalidKey>,
    /// Whether other nodes of the cluster were reached.
    pub remote: Remote,
    /// Whether the push is in the log of its key.
    pub kept: Kept,
}

impl Delivery {
    /// Whether no session took the message, here or elsewhere, and no log keeps it for later. `false` where
    /// [`Delivery::incomplete`] or [`Kept::Unknown`] leaves that open.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.delivered == 0
            && !self.incomplete
            && self.remote != Remote::Published
            && matches!(self.kept, Kept::No | Kept::Failed)
    }

    /// The store gave no answer.
    pub(crate) fn unknown() -> Self {
        Self { incomplete: true, ..Self::default() }
    }

    /// The key is invalid.
    pub(crate) fn to_invalid_key(error: InvalidKey) -> Self {
        Self { invalid_key: Some(error), ..Self::default() }
    }

    /// Adds the outcome of one session.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => self.delivered += 1,
            Outcome::Displaced(messages) => {
                self.delivered += 1;
                self.dropped += messages;
            }
            Outcome::Dropped(messages) => self.dropped += messages,
            Outcome::Slow => self.slow += 1,
            Outcome::Gone => {}
        }
    }
}

impl FromIterator<Outcome> for Delivery {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        let mut delivery = Self::default();
        outcomes.into_iter().for_each(|outcome| delivery.count(outcome));
        delivery
    }
}

/// Whether a message was published to the other nodes of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Remote {
    /// There is no cluster.
    #[default]
    None,
    /// Published. What the other nodes did with it is not known here.
    Published,
    /// Publishing failed.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_says_whether_it_was_taken_and_whether_there_will_be_another() {
        let said = |outcome: Outcome| (outcome.is_queued(), outcome.is_gone());
        assert_eq!(said(Outcome::Accepted), (true, false));
        assert_eq!(said(Outcome::Displaced(3)), (true, false));
        assert_eq!(said(Outcome::Dropped(1)), (false, false));
        assert_eq!(said(Outcome::Slow), (false, true));
        assert_eq!(said(Outcome::Gone), (false, true));
    }
}
