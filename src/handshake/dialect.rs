/// Subprotocol of clients that understand keywire's close codes.
pub(crate) const KEYWIRE_V1: &str = "keywire.v1";

/// Subprotocol of clients that answer requests.
const ANSWERS: &str = "answers.keywire";

/// What a client understands besides pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Nothing.
    Plain,
    /// keywire's close codes.
    V1,
    /// keywire's close codes and requests.
    V1Answering,
}

impl Dialect {
    /// By the subprotocols that the client offers.
    pub(super) fn of(offers: impl Fn(&str) -> bool) -> Self {
        if !offers(KEYWIRE_V1) {
            return Self::Plain;
        }
        if offers(ANSWERS) { Self::V1Answering } else { Self::V1 }
    }
}
