use serde::Serialize;

/// What became of one message for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is on its way, behind what was sent before.
    Accepted,
    /// It is on its way, and so many older messages, which waited for the same client, were dropped for it
    /// ([`SlowPolicy::DropOldest`](crate::SlowPolicy::DropOldest)).
    Displaced(usize),
    /// It was dropped, being so many messages: too much waits for this client already
    /// ([`SlowPolicy::DropNewest`](crate::SlowPolicy::DropNewest)). The session lives on.
    Dropped(usize),
    /// Too much waited for this client already: it is being closed as too slow, with 4003.
    Slow,
    /// The session has ended or is ending.
    Gone,
}

impl Outcome {
    /// Whether the session took the message: [`Accepted`](Self::Accepted), [`Displaced`](Self::Displaced).
    #[must_use]
    pub fn is_queued(self) -> bool {
        matches!(self, Self::Accepted | Self::Displaced(_))
    }

    /// Whether the session has ended or is ending, and takes no further message: [`Gone`](Self::Gone),
    /// [`Slow`](Self::Slow). What to ask before you forget a session:
    ///
    /// ```
    /// use keywire::{Frame, Session};
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

/// What became of something sent: the truth, so that a backend can fall back to mail.
///
/// "Delivered" means that a live session took the message into its queue. Whether a person saw it, only the
/// page can tell.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Delivery {
    /// How many sessions of this node took it.
    pub delivered: usize,
    /// How many were too slow a reader and are being closed.
    pub slow: usize,
    /// How many messages were dropped for clients that are too slow a reader and are not closed for it: this one where
    /// it was not taken, older ones where it was. 0 with [`SlowPolicy::Close`](crate::SlowPolicy::Close).
    pub dropped: usize,
    /// Whether the store failed, or took too long ([`Config::store_timeout`](crate::Config::store_timeout)): then who
    /// got it is not known, and the numbers are too small.
    pub unfinished: bool,
    /// Whether other nodes were reached.
    pub remote: Remote,
}

impl Delivery {
    /// Whether nobody took it and nobody elsewhere could have. With [`Delivery::unfinished`] somebody could.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.delivered == 0 && !self.unfinished && self.remote != Remote::Published
    }

    /// The store has not said what became of it.
    pub(crate) fn unknown() -> Self {
        Self { unfinished: true, ..Self::default() }
    }

    /// Counts one more session.
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

/// Whether other nodes of a cluster got something to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Remote {
    /// There are no others.
    #[default]
    None,
    /// It was published to them. What they did with it is not known here.
    Published,
    /// It should have been published, and that failed.
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
