use serde::Serialize;

/// What became of one message for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is on its way, behind what was sent before.
    Accepted,
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
    /// Whether other nodes were reached.
    pub remote: Remote,
}

impl Delivery {
    /// Whether nobody took it and nobody elsewhere could have.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.delivered == 0 && self.remote != Remote::Published
    }

    /// Counts one more session.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => self.delivered += 1,
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
