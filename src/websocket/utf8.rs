//! UTF-8 that arrives in pieces. It is refused at the first invalid byte.

use super::Violation;

/// Checks text that has arrived completely.
pub(super) fn whole(bytes: &[u8]) -> Result<&str, Violation> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Violation::Utf8)
}

/// The first bytes of a character that has not arrived completely.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: [u8; 3],
    len: u8,
}

impl Tail {
    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    /// Appends the complete characters of `piece` to `text`, and keeps the start of the last character if it is cut.
    ///
    /// Each byte is checked once, so the text needs no second check.
    pub(super) fn append(&mut self, piece: &[u8], text: &mut String) -> Result<(), Violation> {
        let piece = self.complete(piece, text)?;
        let (complete, cut) = piece.split_at(piece.len() - cut_character(piece));
        text.push_str(whole(complete)?);
        if !cut.is_empty() {
            self.keep(cut)?;
        }
        Ok(())
    }

    /// Completes the kept character. Returns the rest of `piece`.
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

    /// Keeps the start of a character, if a character can begin like this.
    fn keep(&mut self, start: &[u8]) -> Result<(), Violation> {
        match std::str::from_utf8(start) {
            // Without an error length it may still become a character, so it has at most three bytes.
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                self.bytes[..start.len()].copy_from_slice(start);
                self.len = start.len() as u8;
                Ok(())
            }
            _ => Err(Violation::Utf8),
        }
    }
}

/// Number of bytes at the end that begin an incomplete character.
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
