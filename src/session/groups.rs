//! The groups of a session.

use std::collections::HashSet;
use std::error::Error;

use super::Session;
use crate::group::{Group, InvalidGroup, valid};

/// Groups.
impl Session {
    /// Makes the session a member of a group. It gets what is sent to the group until it [leaves](Self::leave) or ends.
    ///
    /// Any session may join any group: check in your handler who may. A session can join from
    /// [`opened`](crate::MessageHandler::opened) on, up to [`Config::groups_per_session`](crate::Config::groups_per_session)
    /// groups. Joining again changes nothing.
    ///
    /// A chat room:
    ///
    /// ```
    /// use keywire::session::Group;
    /// use keywire::{Envelope, HandlerResult, Push, Reply, Session, Switch};
    ///
    /// async fn enter(session: Session, room: Group) -> HandlerResult {
    ///     session.join(&room).await?;
    ///     Ok(Reply::ok(format!("you are in {room}")))
    /// }
    ///
    /// async fn say(session: Session, (room, text): (Group, String)) -> HandlerResult {
    ///     let push = Push::message(text).with_flag("said").with_sender(session.key());
    ///     session.hub().send_to_group(&room, push).await;
    ///     Ok(Reply::none())
    /// }
    ///
    /// let switch = Switch::new().on("enter", enter).on("say", say);
    /// # let _ = switch;
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError`] says why the session is not a member.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the session may have joined.
    pub async fn join<G>(&self, group: G) -> Result<Joined, JoinError>
    where
        G: TryInto<Group>,
        G::Error: Into<InvalidGroup>,
    {
        let group = group.try_into().map_err(Into::into)?;
        self.hub().join(self, &group).await
    }

    /// Ends the membership in a group. Nothing happens if the session is not a member, has ended, or the name is invalid (logged).
    ///
    /// A push that is being sent to the group at the same time may still arrive.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the session may have left.
    pub async fn leave<G>(&self, group: G) -> Left
    where
        G: TryInto<Group>,
        G::Error: Into<InvalidGroup>,
    {
        match valid(group) {
            Ok(group) => self.hub().leave(self, &group).await,
            Err(_) => Left::default(),
        }
    }

    /// The groups of the session, in no order. Of a session that has ended: those that it was in at its end, so that
    /// [`closed`](crate::MessageHandler::closed) can tell them.
    ///
    /// ```
    /// use keywire::session::Closed;
    /// use keywire::{Push, Session, Switch};
    ///
    /// let switch = Switch::new().closed(|session: Session, _: Closed| async move {
    ///     for room in session.groups() {
    ///         let push = Push::message("is gone").with_sender(session.key());
    ///         session.hub().send_to_group(room, push).await;
    ///     }
    /// });
    /// # let _ = switch;
    /// ```
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let state = self.state();
        let memberships = state.extensions.get::<Memberships>();
        memberships.map(|memberships| memberships.groups.iter().cloned().collect()).unwrap_or_default()
    }

    /// Whether the group is one of [`Session::groups`].
    #[must_use]
    pub fn is_in(&self, group: impl AsRef<str>) -> bool {
        let state = self.state();
        let memberships = state.extensions.get::<Memberships>();
        memberships.is_some_and(|memberships| memberships.groups.contains(group.as_ref()))
    }

    /// Adds a group, after `index` has added the session to the members of it and said whether it is the first. The session's
    /// state is locked meanwhile, so the two always agree.
    pub(crate) fn add_group(
        &self,
        group: &Group,
        index: impl FnOnce() -> Result<bool, JoinError>,
    ) -> Result<Joined, JoinError> {
        let limit = self.hub().config().groups_per_session;
        let mut state = self.state();
        let Memberships { groups, ended } = state.extensions.get_or_insert_default::<Memberships>();
        if *ended {
            return Err(JoinError::Ended);
        }
        if groups.contains(group) {
            return Ok(Joined { joined: false, first: false });
        }
        if let Some(limit) = limit.filter(|limit| groups.len() >= *limit) {
            return Err(JoinError::TooMany { limit });
        }
        let first = index()?;
        groups.insert(group.clone());
        Ok(Joined { joined: true, first })
    }

    /// Removes a group, after `index` has removed the session from its members and said whether it was the last.
    pub(crate) fn remove_group(&self, group: &Group, index: impl FnOnce() -> bool) -> Left {
        let mut state = self.state();
        match state.extensions.get_mut::<Memberships>() {
            Some(Memberships { groups, ended: false }) if groups.contains(group) => {
                let last = index();
                groups.remove(group);
                Left { left: true, last }
            }
            _ => Left::default(),
        }
    }

    /// The session joins and leaves no group any more. Returns its groups, the first time.
    pub(crate) fn end_groups(&self) -> Vec<Group> {
        let mut state = self.state();
        match state.extensions.get_mut::<Memberships>() {
            Some(Memberships { groups, ended }) if !*ended => {
                *ended = true;
                groups.iter().cloned().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Among the extensions, so that a session without groups has no memory for them. Those of applications are in an `Arc` each.
#[derive(Clone, Default)]
struct Memberships {
    groups: HashSet<Group>,
    /// The session has left the store.
    ended: bool,
}

/// Result of [`Session::join`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Joined {
    /// The session became a member. `false`: it was one already.
    pub joined: bool,
    /// It is the first member of the group on this node.
    pub first: bool,
}

/// Result of [`Session::leave`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// The session was a member until now.
    pub left: bool,
    /// It was the last member of the group on this node.
    pub last: bool,
}

/// A session did not join a group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The name is not a valid one.
    #[error(transparent)]
    Invalid(#[from] InvalidGroup),
    /// The session is not in the store: it has ended, or has not begun.
    #[error("the session is not in the store: it has ended")]
    Ended,
    /// The session is in as many groups as it may be.
    #[error("the session is in {limit} groups, as many as it may be in. Setting: Config::groups_per_session")]
    TooMany {
        /// [`Config::groups_per_session`](crate::Config::groups_per_session).
        limit: usize,
    },
    /// The store failed, or does not support groups. After a failure the session may be a member.
    #[error("the session store did not add the session to the group: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}
