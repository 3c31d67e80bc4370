//! The log lines that docs/troubleshooting.md quotes exist: their messages, levels and modules are in the sources.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../docs/troubleshooting.md");

/// The quoted lines: level, module, message with fields.
fn quoted() -> Vec<(&'static str, &'static str, &'static str)> {
    let blocks = PAGE.split("```log\n").skip(1).map(|rest| rest.split("```").next().expect("an end"));
    let parse = |line: &'static str| {
        let (level, rest) = line.split_once(' ')?;
        let (module, message) = rest.split_once(": ")?;
        Some((level, module, message))
    };
    blocks
        .flat_map(str::lines)
        .map(|line| parse(line).unwrap_or_else(|| panic!("no log line: {line}")))
        .collect()
}

/// The source of a module.
fn source(module: &str) -> String {
    let path = module.replacen("keywire", "src", 1).replace("::", "/");
    let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
    let found = files.iter().find_map(|file| fs::read_to_string(file).ok());
    found.unwrap_or_else(|| panic!("{module} is no module"))
}

fn sources(of: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(of).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => sources(&path, into),
            false => into.push(path),
        }
    }
}

/// The string literals of a source, with the position of each. A quote in a character or a comment may cut one apart, and then
/// it is not found.
fn literals(source: &str) -> Vec<(usize, String)> {
    let mut literals = Vec::new();
    let mut at = 0;
    while let Some(begin) = source[at..].find('"').map(|found| at + found) {
        let mut text = String::new();
        let mut chars = source[begin + 1..].char_indices();
        let mut end = source.len();
        while let Some((offset, char)) = chars.next() {
            match char {
                '"' => {
                    end = begin + 1 + offset + 1;
                    break;
                }
                '\\' => match chars.next() {
                    // A continued line.
                    Some((_, '\n')) => {
                        let rest = chars.as_str();
                        let skipped = rest.len() - rest.trim_start().len();
                        for _ in 0..rest[..skipped].chars().count() {
                            chars.next();
                        }
                    }
                    Some((_, escaped)) => text.push(escaped),
                    None => {}
                },
                char => text.push(char),
            }
        }
        literals.push((begin, text));
        at = end;
    }
    literals
}

/// Whether a text begins with what a format string makes. Without words of its own, a format string says nothing.
fn makes(format: &str, text: &str) -> bool {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('{') {
        pieces.push(before);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    pieces.push(rest);
    if pieces.iter().flat_map(|piece| piece.chars()).filter(|char| char.is_alphabetic()).count() < 10 {
        return false;
    }
    let Some(mut rest) = text.strip_prefix(pieces[0]) else { return false };
    for piece in &pieces[1..] {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    // Nothing but fields follow, unless the last piece is a value.
    format.ends_with('}')
        || rest.is_empty()
        || rest.split(' ').nth(1).is_some_and(|field| field.contains('='))
}

#[test]
fn every_quoted_log_line_exists() {
    let quoted = quoted();
    assert!(quoted.len() > 25, "{} lines", quoted.len());
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let all: Vec<_> = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let all: Vec<_> = all.iter().flat_map(|source| literals(source)).map(|(_, text)| text).collect();
    for (level, module, message) in quoted {
        let source = source(module);
        let (macro_of, reason) = match message.strip_prefix("refused: ") {
            Some(reason) => ("refused: {why}", Some(reason)),
            None => ("", None),
        };
        let line = literals(&source).into_iter().find(|(_, text)| match reason {
            Some(_) => text == macro_of,
            None => makes(text, message) || message == text || message.starts_with(&format!("{text} ")),
        });
        let (at, _) = line.unwrap_or_else(|| panic!("{module} does not say: {message}"));
        let (_, call) = source[..at].rsplit_once("tracing::").expect("a macro");
        assert!(
            call.starts_with(&format!("{}!", level.to_lowercase())),
            "{module} says at another level: {message}"
        );
        if let Some(reason) = reason {
            assert!(all.iter().any(|text| makes(text, reason)), "no refusal says: {reason}");
        }
    }
}

#[test]
fn a_line_that_does_not_exist_is_noticed() {
    let why = "origin {origin} is not allowed; allowed: {allowed}. Setting: Origins::and({origin}){also}";
    let said = "origin \"null\" is not allowed; allowed: none. Setting: Origins::and(\"null\") peer=1 kind=\"forbidden\"";
    assert!(makes(why, said));
    assert!(!makes(why, &said.replace("not allowed", "forbidden")));
    assert!(!makes("{why}", said));
    assert!(!makes("the hub shuts down", "the hub shuts down now"));
    assert!(makes("the hub shuts down", "the hub shuts down peer=1"));
}
