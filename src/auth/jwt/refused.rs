use crate::rejection::Rejection;

/// A token that is refused: the rejection, which the client gets, and the reason, which only the server's log gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) rejection: Rejection,
    /// Contains nothing of the token.
    pub(super) why: &'static str,
}

impl Refused {
    pub(super) const EXPIRED: Self = Self::new(Rejection::Expired, "its exp has passed");
    pub(super) const NOT_YET: Self = Self::new(Rejection::NotYet, "its nbf is in the future");
    pub(super) const NO_KEY: Self =
        Self::new(Rejection::NotYet, "no key of the set has its kid and its algorithm");
    pub(super) const NO_SET: Self = Self::new(Rejection::Unavailable, "no keys have been read yet");

    pub(super) const fn new(rejection: Rejection, why: &'static str) -> Self {
        Self { rejection, why }
    }

    /// A token that is wrong for good.
    pub(super) const fn invalid(why: &'static str) -> Self {
        Self::new(Rejection::Invalid, why)
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        refused.rejection
    }
}
