//! Checks that the tables of docs/protocol.md contain every status and close code.

use std::collections::BTreeMap;

use super::*;

const PROTOCOL: &str = include_str!("../../docs/protocol.md");

/// Every kind. A missing kind is a compile error.
fn all() -> impl Iterator<Item = Rejection> {
    std::iter::successors(Some(Rejection::Missing), |rejection| match rejection {
        Rejection::Missing => Some(Rejection::Invalid),
        Rejection::Invalid => Some(Rejection::Expired),
        Rejection::Expired => Some(Rejection::NotYet),
        Rejection::NotYet => Some(Rejection::Malformed),
        Rejection::Malformed => Some(Rejection::Ambiguous),
        Rejection::Ambiguous => Some(Rejection::Forbidden),
        Rejection::Forbidden => Some(Rejection::TooMany),
        Rejection::TooMany => Some(Rejection::Throttled),
        Rejection::Throttled => Some(Rejection::Unavailable),
        Rejection::Unavailable => None,
    })
}

/// The cells of the rows of a table that begin with a number.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = PROTOCOL.split_once(&format!("\n## {heading}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The codes that the sources name, and those that only report an end.
fn codes() -> Vec<u16> {
    let sources = [include_str!("../websocket/close_code.rs"), include_str!("../close.rs")];
    let declared = sources.iter().flat_map(|source| source.split("Self = Self::known(").skip(1));
    let declared = declared.map(|rest| rest[..4].parse().expect("a code"));
    let mut codes: Vec<_> = declared.chain([1005, 1006]).collect();
    codes.sort_unstable();
    codes
}

#[test]
fn each_code_stands_there_with_who_gives_it_and_why_it_is_final_or_not() {
    let rows = rows("Final or not");
    let listed: Vec<u16> = rows.iter().map(|row| row[0].parse().expect("a code")).collect();
    assert_eq!(listed, codes());
    for row in rows {
        let [code, by, again, why] = row[..] else { panic!("{row:?}") };
        let code: u16 = code.parse().expect("a code");
        let asks = match CloseCode::new(code) {
            Some(code) => code.is_retryable(),
            None if code == 1005 => CloseCode::NO_STATUS.is_retryable(),
            None => CloseCode::ABNORMAL.is_retryable(),
        };
        assert_eq!(again, if asks { "yes" } else { "no" }, "{code}");
        assert!(!by.is_empty() && !why.is_empty(), "{code}");
    }
}

#[test]
fn each_refusal_stands_there_with_its_status_and_its_code() {
    let mut listed = BTreeMap::new();
    for row in rows("Opening") {
        let [status, kinds, _, code] = row[..] else { panic!("{row:?}") };
        for kind in kinds.split('`').skip(1).step_by(2) {
            assert_eq!(listed.insert(kind, (status.to_owned(), code.to_owned())), None, "{kind}");
        }
    }
    let given = all().map(|rejection| {
        let (status, code) = (rejection.status().as_u16(), rejection.close_code());
        (rejection.kind(), (status.to_string(), code.to_string()))
    });
    assert_eq!(listed, given.collect());
}

/// Status and close code agree on whether the client should come back.
#[test]
fn a_status_and_a_code_agree() {
    for rejection in all() {
        let again = rejection.close_code().is_retryable();
        // The client needs a new credential, and waiting does not help.
        let waits = again && rejection != Rejection::Expired;
        assert_eq!(rejection.retry_after().is_some(), waits, "{rejection:?}");
        let is_final = matches!(
            rejection,
            Rejection::Missing
                | Rejection::Invalid
                | Rejection::Malformed
                | Rejection::Forbidden
                | Rejection::TooMany
        );
        assert_eq!(again, !is_final, "{rejection:?}");
    }
}
