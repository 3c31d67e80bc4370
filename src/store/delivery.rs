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
