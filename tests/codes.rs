//! docs/reference/codes.md has every code, with what the code says of it.

use keywire::auth::Rejection;
use keywire::message::Code;
use keywire::session::CloseCode;

const PAGE: &str = include_str!("../docs/reference/codes.md");
const CLOSE_CODES: [&str; 2] =
    [include_str!("../src/websocket/close_code.rs"), include_str!("../src/close.rs")];
const CODES: &str = include_str!("../src/message/code.rs");

/// The cells of the rows whose second cell begins like this.
fn rows(name: &str) -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|row| row.get(1).is_some_and(|cell| cell.starts_with(&format!("`{name}::")))).collect()
}

/// The public constants of a source, with the number or string that `make` gets.
fn constants(source: &str, make: &str) -> Vec<(String, String)> {
    let parse = |line: &str| {
        let (name, value) = line.trim().strip_prefix("pub const ")?.split_once(": Self = Self::")?;
        let value = value.strip_prefix(make)?.strip_prefix('(')?.strip_suffix(");")?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    source.lines().filter_map(parse).collect()
}

#[test]
fn every_close_code_has_its_row() {
    let constants: Vec<_> = CLOSE_CODES.iter().flat_map(|source| constants(source, "known")).collect();
    assert!(constants.len() > 20, "{constants:?}");
    let rows = rows("CloseCode");
    assert_eq!(rows.len(), constants.len());
    for ((name, number), row) in constants.iter().zip(&rows) {
        assert_eq!(row[..2], [number.as_str(), &format!("`CloseCode::{name}`")]);
        let code = CloseCode::new(number.parse().expect("a number")).expect("a code that is sent");
        assert_eq!(row[3], if code.is_retryable() { "retry" } else { "final" }, "{name}");
        assert!(row.len() == 6 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}

#[test]
fn every_push_code_has_its_row() {
    let constants = constants(CODES, "of");
    assert!(constants.len() >= 9, "{constants:?}");
    let rows = rows("Code");
    assert_eq!(rows.len(), constants.len());
    for ((name, code), row) in constants.iter().zip(&rows) {
        assert_eq!(row[..2], [format!("`{code}`"), format!("`Code::{name}`")]);
        assert!(row.len() == 6 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
    assert_eq!(Code::DONE.as_str(), "00");
}

#[test]
fn every_refusal_has_its_row() {
    let rejections = [
        Rejection::Malformed,
        Rejection::Missing,
        Rejection::Invalid,
        Rejection::Expired,
        Rejection::NotYet,
        Rejection::Ambiguous,
        Rejection::Forbidden,
        Rejection::TooMany,
        Rejection::Throttled,
        Rejection::Unavailable,
    ];
    // The enum is not exhaustive here, so its variants are counted in the source.
    let source = include_str!("../src/rejection.rs");
    assert_eq!(source.matches("#[error(").count(), rejections.len());
    let rows = rows("Rejection");
    assert_eq!(rows.len(), rejections.len());
    for (rejection, row) in rejections.iter().zip(&rows) {
        let expected = [
            format!("`{}`", rejection.kind()),
            format!("`Rejection::{rejection:?}`"),
            rejection.status().as_u16().to_string(),
            rejection.close_code().to_string(),
        ];
        assert_eq!(row[..4], expected);
    }
}
