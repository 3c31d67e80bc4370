//! The errors of a client, each with its close code.

use thiserror::Error;

use super::CloseCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Violation {
    #[error("a client's frame has to be masked")]
    Unmasked,
    #[error("a reserved bit is set that nothing negotiated gives a meaning to here")]
    ReservedBits,
    #[error("opcode {0:#x} is reserved")]
    ReservedOpCode(u8),
    #[error("a control frame must not be fragmented")]
    FragmentedControl,
    #[error("a control frame carries at most 125 bytes")]
    LongControl,
    #[error("the top bit of a 64 bit length is set")]
    LengthTopBit,
    #[error("a length has to take the fewest bytes possible")]
    LengthNotMinimal,
    #[error("a continuation frame without a message to continue")]
    NothingToContinue,
    #[error("a new message inside a fragmented one")]
    InterleavedMessage,
    #[error("a close frame carries nothing, or at least a code of two bytes")]
    ClosePayload,
    #[error("{0} must not stand in a close frame")]
    CloseCode(u16),
    #[error("text that is not UTF-8")]
    Utf8,
    #[error("compressed data that cannot be inflated")]
    Deflate,
    #[error("a message of more than {limit} bytes")]
    TooBig { limit: usize },
}

impl Violation {
    /// What to close the connection with (RFC 6455 7.4.1).
    pub(crate) fn close_code(self) -> CloseCode {
        match self {
            // The frame is in order, its bit is allowed: it is the data that is not what the bit says.
            Self::Utf8 | Self::Deflate => CloseCode::INVALID_DATA,
            Self::TooBig { .. } => CloseCode::TOO_BIG,
            Self::Unmasked
            | Self::ReservedBits
            | Self::ReservedOpCode(_)
            | Self::FragmentedControl
            | Self::LongControl
            | Self::LengthTopBit
            | Self::LengthNotMinimal
            | Self::NothingToContinue
            | Self::InterleavedMessage
            | Self::ClosePayload
            | Self::CloseCode(_) => CloseCode::PROTOCOL_ERROR,
        }
    }
}
