//! Protocol violations of a client, with their close codes.

use thiserror::Error;

use super::CloseCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Violation {
    #[error("a client's frame must be masked")]
    Unmasked,
    #[error("a reserved bit must not be set without an extension that defines it")]
    ReservedBits,
    #[error("opcode {0:#x} is reserved")]
    ReservedOpCode(u8),
    #[error("a control frame must not be fragmented")]
    FragmentedControl,
    #[error("a control frame must have at most 125 bytes")]
    LongControl,
    #[error("the top bit of a 64-bit length must not be set")]
    LengthTopBit,
    #[error("a length must be encoded in the fewest bytes")]
    LengthNotMinimal,
    #[error("a continuation frame must continue a message")]
    NothingToContinue,
    #[error("a new message must not begin inside a fragmented message")]
    InterleavedMessage,
    #[error("a close frame must be empty or begin with a code of two bytes")]
    ClosePayload,
    #[error("a close frame must not contain the code {0}")]
    CloseCode(u16),
    #[error("text must be UTF-8")]
    Utf8,
    #[error("the compressed data cannot be inflated")]
    Deflate,
    #[error("the message exceeds {limit} bytes")]
    TooBig { limit: usize },
}

impl Violation {
    /// The close code for the connection (RFC 6455 7.4.1).
    pub(crate) fn close_code(self) -> CloseCode {
        match self {
            // The frame itself is valid, but its data does not match its type or the compression bit.
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
