use percent_encoding::percent_decode_str;

use super::answer::Failure;
use crate::excerpt::Excerpt;
use crate::session::CloseCode;

/// How sessions are closed: `?code=4600&reason=account%20closed`.
#[derive(Debug, PartialEq)]
pub(super) struct CloseQuery {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

/// Longest reason that a close frame has room for.
const MAX_REASON: usize = 123;

impl CloseQuery {
    pub(super) fn read(query: Option<&str>) -> Result<Self, Failure> {
        let [code, reason] = parameters(query, ["code", "reason"])?;
        let code = match code {
            None => CloseCode::DISCONNECTED,
            Some(code) => {
                let number = code.parse::<u16>().ok().filter(|code| (4000..=4999).contains(code));
                let code = number.and_then(CloseCode::new);
                code.ok_or_else(|| Failure::bad("code", "must be a number from 4000 to 4999"))?
            }
        };
        let reason = reason.unwrap_or_else(|| "disconnected".to_owned());
        // ASCII, so that characters are bytes, and a log can show them.
        if reason.len() > MAX_REASON || !reason.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let rule = format!("must have at most {MAX_REASON} characters, all of them printable ASCII");
            return Err(Failure::bad("reason", rule));
        }
        Ok(Self { code, reason })
    }
}

/// Refuses a query. An option that is not read would be believed to have an effect.
pub(super) fn none(query: Option<&str>) -> Result<(), Failure> {
    parameters(query, []).map(|[]: [_; 0]| ())
}

/// The values of these parameters, and of no others.
fn parameters<const N: usize>(query: Option<&str>, names: [&str; N]) -> Result<[Option<String>; N], Failure> {
    let mut values = [const { None }; N];
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| Failure::bad("query", "must be UTF-8, percent-encoded"))?;
        let Some(index) = names.iter().position(|known| *known == name) else {
            return Err(Failure::bad("query", format_args!("unknown parameter {}", Excerpt(&name))));
        };
        let value = decode(value).ok_or_else(|| Failure::bad(&name, "must be UTF-8, percent-encoded"))?;
        if values[index].replace(value).is_some() {
            return Err(Failure::bad(name, "there twice"));
        }
    }
    Ok(values)
}

/// As a form writes it: a plus is a space.
fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<(u16, String), String> {
        let read = CloseQuery::read(Some(query));
        read.map(|close| (close.code.into(), close.reason))
            .map_err(|failure| failure.into_response().into_body())
    }

    #[test]
    fn a_code_and_a_reason() {
        assert_eq!(read(""), Ok((4505, "disconnected".to_owned())));
        assert_eq!(read("reason=account+closed%21&code=4600"), Ok((4600, "account closed!".to_owned())));
        assert_eq!(read(&format!("reason={}", "a".repeat(123))).map(|(_, reason)| reason.len()), Ok(123));
    }

    #[test]
    fn each_rule() {
        let long = format!("reason={}", "a".repeat(124));
        for (query, said) in [
            ("code=", "code: must be"),
            ("code=1000", "code: must be"),
            ("code=5000", "code: must be"),
            ("code=4600&code=4600", "code: there twice"),
            ("reason=%C3%A9", "reason: must have"),
            ("reason=%FF", "reason: must be UTF-8"),
            (&long, "reason: must have"),
            ("token=%0A", r"query: unknown parameter token"),
        ] {
            let error = read(query).expect_err(query);
            assert!(error.starts_with(&format!(r#"{{"error":"{said}"#)), "{error}");
        }
        assert!(none(Some("a")).is_err() && none(Some("")).is_ok() && none(None).is_ok());
    }
}
