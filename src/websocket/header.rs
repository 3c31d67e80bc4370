//! Header of a client's frame (RFC 6455 5.2).

use super::{OpCode, Violation, mask::Mask};

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) fin: bool,
    /// Whether this is the first frame of a compressed message (RFC 7692 6).
    pub(super) compressed: bool,
    pub(super) opcode: OpCode,
    pub(super) mask: Mask,
    pub(super) len: usize,
}

/// Longest header: two bytes, a length of up to eight, a masking key of four.
const MAX: usize = 14;

impl Header {
    /// Parses a header. Also returns its length in bytes. `None` if it is incomplete.
    ///
    /// Each byte is checked as soon as it has arrived, so the violation does not depend on where reads are cut.
    fn parse(bytes: &[u8], deflate: bool) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let compressed = first & 0x70 == 0x40;
        // The compression bit is allowed only if it was negotiated, and never on a continuation or control frame.
        if first & 0x70 != 0 && !(compressed && deflate && matches!(first & 0x0F, 1 | 2)) {
            return Err(Violation::ReservedBits);
        }
        let bits = first & 0x0F;
        let opcode = OpCode::from_bits(bits).ok_or(Violation::ReservedOpCode(bits))?;
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }

        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & 0x7F;
        if opcode.is_control() && short > 125 {
            return Err(Violation::LongControl);
        }

        let Some((len, rest)) = length(short, rest)? else { return Ok(None) };
        let Some((&key, rest)) = rest.split_first_chunk() else { return Ok(None) };
        // On a 32-bit machine a longer payload exceeds any limit too.
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(Some((Self { fin, compressed, opcode, mask: Mask::new(key), len }, bytes.len() - rest.len())))
    }
}

/// The payload's length, and the bytes after the length.
fn length(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (len, least, rest) = match short {
        126 => {
            let Some((&len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u16::from_be_bytes(len).into(), 126, rest)
        }
        127 => {
            let Some((&len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(len), 1 << 16, rest)
        }
        _ => (short.into(), 0, bytes),
    };
    if len >> 63 != 0 {
        return Err(Violation::LengthTopBit);
    }
    // "In all cases, the minimal number of bytes MUST be used to encode the length."
    if len < least {
        return Err(Violation::LengthNotMinimal);
    }
    Ok(Some((len, rest)))
}

/// The start of a header that is cut by the end of a read. It is stored inline, without an allocation.
#[derive(Default)]
pub(super) struct PartialHeader {
    bytes: [u8; MAX - 1],
    len: u8,
}

impl PartialHeader {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a header off the front of `input`. `None` if the input ends before the header.
    pub(super) fn complete(
        &mut self,
        input: &mut &mut [u8],
        deflate: bool,
    ) -> Result<Option<Header>, Violation> {
        // Every read ends with an empty input.
        if input.is_empty() {
            return Ok(None);
        }
        if self.len == 0
            && let Some((header, taken)) = Header::parse(input, deflate)?
        {
            let _ = input.split_off_mut(..taken);
            return Ok(Some(header));
        }

        let kept = usize::from(self.len);
        let fresh = input.len().min(MAX - kept);
        let mut bytes = [0; MAX];
        bytes[..kept].copy_from_slice(&self.bytes[..kept]);
        bytes[kept..kept + fresh].copy_from_slice(&input[..fresh]);
        let bytes = &bytes[..kept + fresh];
        match Header::parse(bytes, deflate)? {
            Some((header, taken)) => {
                let _ = input.split_off_mut(..taken - kept);
                self.len = 0;
                Ok(Some(header))
            }
            None => {
                // `MAX` bytes always make a header, so there are fewer, and all of the input was taken.
                self.bytes[..bytes.len()].copy_from_slice(bytes);
                self.len = bytes.len() as u8;
                *input = &mut [];
                Ok(None)
            }
        }
    }
}
