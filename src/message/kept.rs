use sha2::{Digest as _, Sha256};

use super::Push;

/// A push that is kept in the log of its key. A page gets it once and in order, even if the page is offline now.
///
/// [`Push::kept`] makes it. [`Hub::send_to`](crate::Hub::send_to) and [`Hub::send_to_each`](crate::Hub::send_to_each) send it.
///
/// ```
/// # async fn example(hub: keywire::Hub) {
/// use keywire::Push;
///
/// let paid = Push::message("paid").with_flag("order").kept().once("order-17-paid");
/// let delivery = hub.send_to("alice", paid).await;
/// println!("kept: {:?}", delivery.kept);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPush {
    push: Push,
    once: Option<Box<str>>,
}

/// Longest id that is stored unchanged, in bytes.
const LONGEST_ONCE: usize = 64;

impl Push {
    /// The same push, kept in the log of its key. A page that is offline gets it when it reconnects. See
    /// [`Hub::send_to`](crate::Hub::send_to).
    #[must_use]
    pub fn kept(self) -> KeptPush {
        KeptPush { push: self, once: None }
    }
}

impl KeptPush {
    /// Id of this push within its key, so that a retry is not sent twice. The log adds the first push with an id and answers later
    /// ones with [`Kept::Again`](crate::log::Kept::Again). Logs remember an id for 10 minutes by default, see
    /// [`Retention`](crate::log::Retention). An id of more than 64 bytes is stored as its SHA-256.
    #[must_use]
    pub fn once(mut self, id: impl AsRef<str>) -> Self {
        let id = id.as_ref();
        let stored = if id.len() <= LONGEST_ONCE {
            id.to_owned()
        } else {
            Sha256::digest(id).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        self.once = Some(stored.into());
        self
    }

    /// The push itself.
    #[must_use]
    pub fn push(&self) -> &Push {
        &self.push
    }

    pub(crate) fn into_parts(self) -> (Push, Option<Box<str>>) {
        (self.push, self.once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_id_is_stored_by_its_hash() {
        let once = |id: &str| Push::message("").kept().once(id).into_parts().1.unwrap();
        assert_eq!(&*once("order-17"), "order-17");
        let (a, b) = (once(&"a".repeat(65)), once(&"a".repeat(66)));
        assert_eq!((a.len(), b.len()), (64, 64));
        assert_ne!(a, b);
    }
}
