use std::fmt;

use crate::invisible::is_invisible;

/// A string that a client may have influenced, for a log or a reply. It is escaped, so that it cannot forge log lines, and cut to
/// [`MAX_CHARS`].
pub(crate) struct Excerpt<'a>(pub(crate) &'a str);

const MAX_CHARS: usize = 200;

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for char in chars.by_ref().take(MAX_CHARS) {
            // Quotes stay, since they are harmless and JSON escapes them anyway.
            match char {
                '"' | '\'' => write!(f, "{char}")?,
                _ if is_invisible(char) && !char.is_control() => write!(f, "{}", char.escape_unicode())?,
                _ => write!(f, "{}", char.escape_debug())?,
            }
        }
        if chars.next().is_some() { write!(f, "…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_is_invisible() {
        assert_eq!(Excerpt("a\u{202e}b\u{3164}c\u{2800}").to_string(), "a\\u{202e}b\\u{3164}c\\u{2800}");
    }

    #[test]
    fn escapes_and_cuts() {
        assert_eq!(Excerpt("a \"b\"\n\u{1b}[31m").to_string(), "a \"b\"\\n\\u{1b}[31m");
        assert_eq!(Excerpt(&"a".repeat(200)).to_string(), "a".repeat(200));
        assert_eq!(Excerpt(&"a".repeat(201)).to_string(), "a".repeat(200) + "…");
    }
}
