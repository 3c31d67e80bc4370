//! UTF-8 that arrives in pieces, refused at the first byte that cannot be right.

use super::Violation;

/// Text that is all there.
pub(super) fn whole(bytes: &[u8]) -> Result<&str, Violation> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Violation::Utf8)
}

/// The first bytes of a character whose others have not come yet.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: [u8; 3],
    len: u8,
}

impl Tail {
    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    /// Appends the characters that `piece` completes to `text` and keeps the start of the last one, if it is cut.
    ///
    /// So each byte is checked once, and the text never has to be looked at again.
    pub(super) fn append(&mut self, piece: &[u8], text: &mut String) -> Result<(), Violation> {
        let piece = self.complete(piece, text)?;
        let (complete, cut) = piece.split_at(piece.len() - cut_character(piece));
        text.push_str(whole(complete)?);
        if !cut.is_empty() {
            self.keep(cut)?;
        }
        Ok(())
    }

    /// Completes the kept character and returns what of `piece` comes after it.
    fn complete<'p>(&mut self, mut piece: &'p [u8], text: &mut String) -> Result<&'p [u8], Violation> {
        while self.len > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            let len = self.len();
            let mut character = [0; 4];
            character[..len].copy_from_slice(&self.bytes[..len]);
            character[len] = byte;
            piece = rest;
            match std::str::from_utf8(&character[..=len]) {
                Ok(complete) => {
                    text.push_str(complete);
                    self.len = 0;
                }
                Err(_) => self.keep(&character[..=len])?,
            }
        }
        Ok(piece)
    }

    /// Keeps the start of a character, if one can begin like this.
    fn keep(&mut self, start: &[u8]) -> Result<(), Violation> {
        match std::str::from_utf8(start) {
            // No length of an error means that it may yet become a character: so it has three bytes at most.
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                self.bytes[..start.len()].copy_from_slice(start);
                self.len = start.len() as u8;
                Ok(())
            }
            _ => Err(Violation::Utf8),
        }
    }
}

/// How many bytes at the end belong to a character that goes on behind it, if it goes on well.
fn cut_character(bytes: &[u8]) -> usize {
    for (behind, byte) in (1..=3).zip(bytes.iter().rev()) {
        let width = match byte {
            0x80..=0xBF => continue,
            0x00..=0x7F => 1,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        return if width > behind { behind } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests;
