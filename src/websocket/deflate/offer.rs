//! Parses `Sec-WebSocket-Extensions` (RFC 6455 9.1) and selects an offer of permessage-deflate.

use std::borrow::Cow;

use http::header::{HeaderMap, SEC_WEBSOCKET_EXTENSIONS};

use crate::websocket::opening::is_token_byte;

const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The same with a window. If an offer limits the server's window, the response must name the window (7.1.2.1).
const ANSWER_WITH_WINDOW: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";

/// The response to the first acceptable offer. Clients name the preferred offer first.
///
/// A malformed header counts as no offer. RFC 6455 asks to fail the opening, but a setting about compression must not decide whether
/// a client can connect.
pub(crate) fn negotiate(headers: &HeaderMap) -> Option<&'static str> {
    let mut answer = None;
    for list in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let mut list = List(list.to_str().ok()?);
        while let Some(extension) = list.next().transpose().ok()? {
            answer = answer.or_else(|| judge(&extension));
        }
    }
    answer
}

/// The response to one offer. `None` if the offer contains anything that RFC 7692 7.1 does not define.
fn judge(Extension { name, parameters }: &Extension<'_>) -> Option<&'static str> {
    if *name != "permessage-deflate" {
        return None;
    }
    let mut answer = ANSWER;
    for (i, (name, value)) in parameters.iter().enumerate() {
        if parameters[..i].iter().any(|(before, _)| before == name) {
            return None;
        }
        match (*name, value.as_deref()) {
            // Neither side takes over a context anyway.
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // The inflater has the largest window.
            ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) if is_window(bits) => {}
            // The compressor has the largest window too, and supports no smaller one.
            ("server_max_window_bits", Some("15")) => answer = ANSWER_WITH_WINDOW,
            _ => return None,
        }
    }
    Some(answer)
}

/// Whether `bits` is 8 to 15 without leading zeros.
fn is_window(bits: &str) -> bool {
    matches!(bits.as_bytes(), [b'8' | b'9'] | [b'1', b'0'..=b'5'])
}

struct Extension<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// The unparsed rest of a list of extensions.
struct List<'a>(&'a str);

struct Malformed;

impl<'a> Iterator for List<'a> {
    type Item = Result<Extension<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty elements do not count (RFC 9110 5.6.1.2).
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
        (!self.0.is_empty()).then(|| self.extension())
    }
}

impl<'a> List<'a> {
    fn extension(&mut self) -> Result<Extension<'a>, Malformed> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.takes(';') {
            let name = self.token()?;
            let value = if self.takes('=') { Some(self.value()?) } else { None };
            parameters.push((name, value));
        }
        if self.0.is_empty() || self.0.starts_with(',') {
            Ok(Extension { name, parameters })
        } else {
            Err(Malformed)
        }
    }

    fn blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn takes(&mut self, sign: char) -> bool {
        self.blanks();
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        self.blanks();
        let end = self.0.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        self.blanks();
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// Parses a token with or without quotes.
    fn value(&mut self) -> Result<Cow<'a, str>, Malformed> {
        if !self.takes('"') {
            return self.token().map(Cow::Borrowed);
        }
        let (mut value, mut signs) = (String::new(), self.0.chars());
        loop {
            match signs.next().ok_or(Malformed)? {
                '"' => break,
                '\\' => value.push(signs.next().ok_or(Malformed)?),
                sign => value.push(sign),
            }
        }
        self.0 = signs.as_str();
        self.blanks();
        if !value.is_empty() && value.bytes().all(is_token_byte) { Ok(value.into()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(lines: &[&str]) -> Option<&'static str> {
        let values = lines.iter().map(|line| HeaderValue::from_str(line).unwrap());
        negotiate(&values.map(|value| (SEC_WEBSOCKET_EXTENSIONS, value)).collect())
    }

    #[test]
    fn good_offers() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=9",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=15",
            "permessage-deflate; client_max_window_bits=\"12\"",
            "permessage-deflate; client_max_window_bits=\"1\\2\"",
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate;server_no_context_takeover;client_no_context_takeover;client_max_window_bits=11",
            " ,\tpermessage-deflate ;\tclient_max_window_bits = 15 , ",
        ] {
            assert_eq!(answer(&[offer]), Some(ANSWER), "{offer}");
        }
        // The response must name a requested window.
        for offer in [
            "permessage-deflate; server_max_window_bits=15",
            "permessage-deflate; client_max_window_bits; server_max_window_bits=\"15\"",
        ] {
            assert_eq!(answer(&[offer]), Some(ANSWER_WITH_WINDOW), "{offer}");
        }
    }

    #[test]
    fn offers_that_are_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "Permessage-Deflate",
            "x-webkit-deflate-frame",
            // Undefined parameters.
            "permessage-deflate; level=9",
            "permessage-deflate; Client_max_window_bits",
            // Values where none is allowed, and missing values.
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_max_window_bits",
            // Values that are not a window.
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=1",
            "permessage-deflate; client_max_window_bits=150",
            "permessage-deflate; client_max_window_bits=ten",
            "permessage-deflate; server_max_window_bits=16",
            // Windows that the server does not support.
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=14",
            // Repeated parameters.
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
        assert_eq!(answer(&[]), None);
    }

    #[test]
    fn the_first_good_offer_counts() {
        let picky = "permessage-deflate; server_max_window_bits=10";
        let window = "permessage-deflate; server_max_window_bits=15";
        let plain = "permessage-deflate";
        for (offers, expected) in [
            (format!("{picky}, {plain}"), ANSWER),
            (format!("{plain}, {picky}"), ANSWER),
            (format!("{window}, {plain}"), ANSWER_WITH_WINDOW),
            (format!("{picky}, foo; bar=\"a,b\", {plain}, {window}"), ANSWER),
        ] {
            // A quoted comma is not a token, so the whole list is malformed.
            let expected = (!offers.contains('"')).then_some(expected);
            assert_eq!(answer(&[&offers]), expected, "{offers}");
        }
        assert_eq!(answer(&["foo; bar=\"x\"; baz", picky, window, plain]), Some(ANSWER_WITH_WINDOW));
    }

    #[test]
    fn a_list_that_is_none_offers_nothing() {
        for broken in [
            ";",
            "permessage-deflate;",
            "permessage-deflate;;client_max_window_bits",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"\"",
            "permessage-deflate; client_max_window_bits=\"10",
            "permessage-deflate; client_max_window_bits=\"10\\",
            "permessage-deflate; client_max_window_bits=\"1 0\"",
            "permessage-deflate; client_max_window_bits=10=10",
            "permessage-deflate; =10",
            "permessage-deflate client_max_window_bits",
            "permessage-deflate, =",
            "permessage-deflate, a b",
            "(permessage-deflate)",
        ] {
            assert_eq!(answer(&[broken]), None, "{broken}");
            assert_eq!(answer(&["permessage-deflate", broken]), None, "{broken}");
        }
        let not_ascii = HeaderValue::from_bytes(b"permessage-deflate, \xe9").unwrap();
        assert_eq!(negotiate(&[(SEC_WEBSOCKET_EXTENSIONS, not_ascii)].into_iter().collect()), None);
    }
}
