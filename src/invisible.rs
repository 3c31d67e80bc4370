//! Characters that a log or a page does not show, or that change how other characters are shown.

/// Whether a character is invisible, is shown as a line break, or reorders other characters:
///
/// - control characters (general category Cc);
/// - line and paragraph separators (Zl, Zp);
/// - format characters that are not shown (most of Cf): bidirectional marks, embeddings, overrides and isolates,
///   zero-width spaces and joiners, the soft hyphen, annotations, tags;
/// - other default ignorable characters of Unicode: variation selectors, fillers, the combining grapheme joiner;
/// - the blank Braille pattern, which is shown as a space;
/// - noncharacters.
///
/// The table is part of keywire, so that all nodes agree even if their compilers have different versions of Unicode.
pub(crate) fn is_invisible(char: char) -> bool {
    // The first comparison suffices for most text.
    char >= '\u{7f}' && is_in(&TABLE, char) || char < ' ' || (u32::from(char) & 0xfffe) == 0xfffe
}

/// Whether `text` has no invisible characters. Joiners are accepted where they change a shape: between two characters of a joining
/// script, and a zero-width joiner between two emoji. The selector that makes a character an emoji is accepted after a symbol.
pub(crate) fn is_visible(text: &str) -> bool {
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let visible = match char {
            ZERO_WIDTH_NON_JOINER => joins(before, chars.peek(), &JOINING),
            ZERO_WIDTH_JOINER => {
                joins(before, chars.peek(), &JOINING) || joins(before, chars.peek(), &PICTURES)
            }
            PICTURE_SELECTOR => before.is_some_and(|before| is_in(&PICTURES, before)),
            char => !is_invisible(char),
        };
        if !visible {
            return false;
        }
        if char != PICTURE_SELECTOR {
            before = Some(char);
        }
    }
    true
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const PICTURE_SELECTOR: char = '\u{fe0f}';

type Ranges = [(char, char)];

fn joins(before: Option<char>, after: Option<&char>, script: &Ranges) -> bool {
    before.is_some_and(|before| is_in(script, before)) && after.is_some_and(|after| is_in(script, *after))
}

fn is_in(ranges: &Ranges, char: char) -> bool {
    let at = ranges.partition_point(|(_, last)| *last < char);
    ranges.get(at).is_some_and(|(first, _)| *first <= char)
}

/// The invisible characters, except ASCII control characters and the last two characters of each plane.
const TABLE: [(char, char); 22] = [
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fdd0}', '\u{fdef}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Scripts that are written joined: Arabic and related scripts, scripts of India and South-East Asia, Mongolian.
const JOINING: [(char, char); 6] = [
    ('\u{620}', '\u{8ff}'),
    ('\u{900}', '\u{dff}'),
    ('\u{f40}', '\u{fbc}'),
    ('\u{1000}', '\u{109f}'),
    ('\u{1780}', '\u{17dd}'),
    ('\u{1820}', '\u{18aa}'),
];

/// Symbols and emoji, including skin tones.
const PICTURES: [(char, char); 2] = [('\u{2190}', '\u{27ff}'), ('\u{1f000}', '\u{1faff}')];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        for table in [&TABLE[..], &JOINING, &PICTURES] {
            assert!(table.iter().all(|(first, last)| first <= last));
            assert!(table.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn what_is_not_shown_is_invisible() {
        for char in [
            '\0',
            '\n',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9f}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fdd0}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{1d173}',
            '\u{1fffe}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
            '\u{10ffff}',
        ] {
            assert!(is_invisible(char), "{char:?}");
        }
        for char in
            [' ', '~', '\u{a0}', 'ä', '\u{301}', 'ع', '٣', '\u{600}', '京', '\u{3000}', '\u{fffd}', '🦊']
        {
            assert!(!is_invisible(char), "{char:?}");
        }
    }

    #[test]
    fn joiners_are_for_those_who_join() {
        // Persian "Alireza", Sinhala "Sri", a family, a red heart, a technician with a skin tone.
        for text in [
            "علی\u{200c}رضا",
            "ශ\u{dca}\u{200d}රී",
            "👩\u{200d}👧",
            "❤\u{fe0f}",
            "👩🏽\u{200d}💻",
            "❤\u{fe0f}\u{200d}🔥",
        ] {
            assert!(is_visible(text), "{text:?}");
        }
        for text in [
            "alice\u{200d}",
            "\u{200d}alice",
            "al\u{200c}ice",
            "а\u{200d}б",
            "علی\u{200c}",
            "👩\u{200d}",
            "\u{200d}👧",
            "👩\u{200c}👧",
            "a\u{fe0f}",
            "\u{fe0f}",
            "علی\u{200c}\u{200c}رضا",
            "❤\u{fe0e}",
        ] {
            assert!(!is_visible(text), "{text:?}");
        }
    }
}
