/// Whether arrays and objects in `json` are nested at most `limit` deep.
///
/// The parser skips a raw body without recursion and without a limit. Parsing the body into a type later recurses, so the nesting
/// is checked here. `json` need not be valid.
pub(crate) fn within(json: &[u8], limit: usize) -> bool {
    // JSON with fewer brackets than the limit cannot nest deeper. Nearly every message passes this check, for which the compiler
    // uses vector instructions.
    let openings = json.iter().filter(|&&byte| byte == b'[' || byte == b'{').count();
    openings <= limit || deepest(json) <= limit
}

fn deepest(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
    }

    #[test]
    fn counts_what_is_open_at_once() {
        assert!(within(&nested(64), 64));
        assert!(!within(&nested(65), 64));
        assert!(!within(&b"[".repeat(1_000_000), 64));
        assert!(within("[],".repeat(1_000).as_bytes(), 64));
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = format!(r#"["{}", "\"{}"]"#, "[".repeat(100), "{".repeat(100));
        assert!(within(text.as_bytes(), 1));
    }
}
