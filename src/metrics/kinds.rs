//! What the push API counts apart.

/// A route of the push API, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushApiCall {
    Push,
    PushToEach,
    Broadcast,
    PushToGroup,
    Sessions,
    Disconnect,
    Presence,
    Stats,
    OpenApi,
    /// No route: another path or method, or a path with an invalid key or group.
    Other,
}

/// Why a secret is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RefusedSecret {
    Missing,
    Wrong,
    /// Too many wrong ones came from the address.
    Throttled,
}

#[cfg(feature = "metrics")]
impl PushApiCall {
    pub(super) const ALL: [Self; 10] = [
        Self::Push,
        Self::PushToEach,
        Self::Broadcast,
        Self::PushToGroup,
        Self::Sessions,
        Self::Disconnect,
        Self::Presence,
        Self::Stats,
        Self::OpenApi,
        Self::Other,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::PushToEach => "push_to_each",
            Self::Broadcast => "broadcast",
            Self::PushToGroup => "push_to_group",
            Self::Sessions => "sessions",
            Self::Disconnect => "disconnect",
            Self::Presence => "presence",
            Self::Stats => "stats",
            Self::OpenApi => "openapi",
            Self::Other => "other",
        }
    }
}

#[cfg(feature = "metrics")]
impl RefusedSecret {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Throttled => "throttled",
        }
    }
}
