use std::fmt;
use std::sync::Arc;

use super::Session;

/// Values of the application for one session, one for each type. See [`Session::extensions`].
///
/// All handles of a session share the values. [`MessageHandler::closed`] can still read them. They are dropped with the last
/// handle. A session without values uses only one pointer for them.
///
/// `get` returns a clone and not a guard, so no lock is held across an `.await`. Put a value that changes often into an `Arc` with
/// its own lock or atomic:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use keywire::{Envelope, Reply, Session, Switch};
///
/// #[derive(Clone, Default)]
/// struct Messages(Arc<AtomicU64>);
///
/// let switch = Switch::new().command(|session: Session, _: Envelope| async move {
///     let messages = session.extensions().get_or_insert(Messages::default());
///     Ok(Reply::data(messages.0.fetch_add(1, Ordering::Relaxed)))
/// });
/// # let _ = switch;
/// ```
///
/// Do not store a [`Session`] in its own extensions: it would never be freed.
///
/// [`MessageHandler::closed`]: crate::MessageHandler::closed
#[derive(Clone, Copy)]
pub struct Extensions<'a>(&'a Session);

impl Session {
    /// Values of the application for this session, by type.
    ///
    /// ```
    /// use keywire::{HandlerResult, Reply, Session, Switch};
    ///
    /// /// The room that the client of this session looks at.
    /// #[derive(Clone)]
    /// struct Room(String);
    ///
    /// async fn enter(session: Session, room: String) -> HandlerResult {
    ///     let former = session.extensions().insert(Room(room));
    ///     Ok(Reply::data(former.map(|Room(name)| name)))
    /// }
    ///
    /// async fn room(session: Session, (): ()) -> HandlerResult {
    ///     let Room(name) = session.extensions().get().ok_or("no room")?;
    ///     Ok(Reply::ok(name))
    /// }
    ///
    /// let switch = Switch::new().on("enter", enter).on("room", room);
    /// # let _ = switch;
    /// ```
    #[must_use]
    pub fn extensions(&self) -> Extensions<'_> {
        Extensions(self)
    }
}

impl Extensions<'_> {
    /// Stores `value`. Returns the previous value of the same type.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let value = Arc::new(value);
        let former = self.0.state().extensions.insert(value);
        former.map(Arc::unwrap_or_clone)
    }

    /// A clone of the value of type `T`.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let value = self.0.state().extensions.get::<Arc<T>>().cloned();
        value.map(Arc::unwrap_or_clone)
    }

    /// A clone of the value of type `T`. If there is none, stores `value` first. Concurrent callers all get the same value.
    pub fn get_or_insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> T {
        let value = Arc::new(value);
        let kept = self.0.state().extensions.get_or_insert_with(|| value.clone()).clone();
        Arc::unwrap_or_clone(kept)
    }

    /// Removes the value of type `T` and returns it.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let value = self.0.state().extensions.remove::<Arc<T>>();
        value.map(Arc::unwrap_or_clone)
    }
}

impl fmt::Debug for Extensions<'_> {
    /// Omits the values, since they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("session", &self.0.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, OnceLock, Weak};
    use std::time::{Duration, SystemTime};

    use super::super::{Inner, Seldom, State};
    use super::*;
    use crate::auth::RawKey;
    use crate::hub::Hub;
    use crate::key::{Identity, Key};
    use crate::outbox::Owned;

    fn session() -> Session {
        let hub = Hub::builder(RawKey::from_path()).build();
        Session::new(hub, Identity::new(Key::new("alice").unwrap()), None, true, false)
    }

    #[test]
    fn each_type_has_one_value_for_all_handles() {
        let session = session();
        let other = session.clone();
        assert_eq!(session.extensions().get::<u8>(), None);
        assert_eq!(session.extensions().insert(1_u8), None);
        assert_eq!(other.extensions().insert(2_u8), Some(1));
        assert_eq!(session.extensions().insert("text"), None);
        assert_eq!(session.extensions().get(), Some(2_u8));
        assert_eq!(session.extensions().get_or_insert(3_u8), 2);
        assert_eq!(other.extensions().remove(), Some(2_u8));
        assert_eq!(session.extensions().remove::<u8>(), None);
        assert_eq!(other.extensions().get(), Some("text"));
        assert_eq!(session.extensions().get_or_insert(3_u8), 3);
        assert_eq!(session.extensions().get(), Some(3_u8));
    }

    /// Cloning and dropping a value runs application code.
    #[test]
    fn a_value_may_use_its_session_when_it_is_cloned_or_dropped() {
        struct Curious(Weak<Owned<Inner>>);

        impl Curious {
            fn look(&self) {
                if let Some(inner) = self.0.upgrade() {
                    assert!(
                        inner.seldom.state.try_lock().is_ok(),
                        "the lock is free while application code runs"
                    );
                }
            }
        }

        impl Clone for Curious {
            fn clone(&self) -> Self {
                self.look();
                Self(self.0.clone())
            }
        }

        impl Drop for Curious {
            fn drop(&mut self) {
                self.look();
            }
        }

        let session = session();
        let curious = || Curious(Arc::downgrade(&session.0));
        drop(session.extensions().insert(curious()));
        drop(session.extensions().get::<Curious>());
        drop(session.extensions().insert(curious()));
        drop(session.extensions().get_or_insert(curious()));
        assert!(session.extensions().remove::<Curious>().is_some());
    }

    #[test]
    fn a_value_of_an_identity_may_use_the_session_when_it_is_dropped() {
        #[derive(Clone, Default)]
        struct Curious(OnceLock<Weak<Owned<Inner>>>);

        impl Drop for Curious {
            fn drop(&mut self) {
                let inner = self.0.get().and_then(Weak::upgrade).expect("a session");
                assert!(
                    inner.seldom.state.try_lock().is_ok(),
                    "the lock is free while application code runs"
                );
            }
        }

        let hub = Hub::builder(RawKey::from_path()).build();
        let until = |end| Identity::new(Key::new("alice").unwrap()).expiring_at(SystemTime::UNIX_EPOCH + end);
        let first = until(Duration::from_secs(1)).with(Curious::default());
        let session = Session::new(hub, first, None, true, false);
        session.identity().get::<Curious>().unwrap().0.set(Arc::downgrade(&session.0)).unwrap();
        session.renew(until(Duration::from_secs(2)));
        assert!(session.identity().get::<Curious>().is_none());
    }

    #[test]
    fn a_session_without_values_pays_one_word() {
        let word = size_of::<usize>();
        assert_eq!(size_of::<http::Extensions>(), word);
        // The lock and its flags take one word, the identity another.
        assert_eq!(size_of::<Mutex<State>>(), 3 * word);
        assert!(size_of::<Owned<Inner>>() <= 232, "{} bytes", size_of::<Owned<Inner>>());
        // What fits into a gap that the alignment of tokio's blocks leaves.
        assert!(size_of::<Seldom>() <= 104, "{} bytes", size_of::<Seldom>());
    }
}
