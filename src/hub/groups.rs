//! Sending to groups, and their members.

use super::Hub;
use crate::delivery::{Delivery, Message, Recipients};
use crate::group::{Group, InvalidGroup, valid};
use crate::session::{JoinError, Joined, Left, Session};

/// Groups, which sessions enter by [`Session::join`].
impl Hub {
    /// Sends to the members of a group: one push or several, see [`Hub::send_to`]. Each push gets the field
    /// [`group`](crate::Push::group).
    ///
    /// ```
    /// # async fn example(hub: keywire::Hub) {
    /// use keywire::Push;
    ///
    /// let delivery = hub.send_to_group("room-7", Push::message("the talk begins")).await;
    /// println!("{} sessions took it", delivery.delivered);
    /// # }
    /// ```
    ///
    /// To leave one session out, for example that of the sender, use [`Hub::send`]:
    ///
    /// ```
    /// use keywire::session::Group;
    /// use keywire::store::Recipients;
    /// use keywire::{Push, Session};
    ///
    /// async fn say(session: &Session, room: Group, text: String) {
    ///     let others = Recipients::group(room).except(session);
    ///     session.hub().send(&others, Push::message(text).with_sender(session.key())).await;
    /// }
    /// ```
    ///
    /// A [kept](crate::Push::kept) push to a group is sent and is in no log: only a push to a key is. A string that is no valid
    /// group reaches no session: see [`Delivery::invalid_key`].
    pub async fn send_to_group<G>(&self, group: G, message: impl Into<Message>) -> Delivery
    where
        G: TryInto<Group>,
        G::Error: Into<InvalidGroup>,
    {
        match valid(group) {
            Ok(group) => self.send(&Recipients::group(group), message).await,
            Err(InvalidGroup(name)) => Delivery::to_invalid_key(name),
        }
    }

    /// The number of members of a group on this node. 0 if the store fails or the name is invalid (both are logged).
    pub async fn members<G>(&self, group: G) -> usize
    where
        G: TryInto<Group>,
        G::Error: Into<InvalidGroup>,
    {
        match valid(group) {
            Ok(group) => self.ask_store("members", || self.store().members(&group)).await.unwrap_or_default(),
            Err(_) => 0,
        }
    }

    pub(crate) async fn join(&self, session: &Session, group: &Group) -> Result<Joined, JoinError> {
        let asked = self.ask_store("join", || self.store().join(session, group)).await;
        asked.unwrap_or_else(|error| Err(JoinError::Unavailable(error.into())))
    }

    pub(crate) async fn leave(&self, session: &Session, group: &Group) -> Left {
        self.ask_store("leave", || self.store().leave(session, group)).await.unwrap_or_default()
    }
}
