//! Values in the head of a request, by name.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::path_key::decode;
use crate::rejection::Rejection;

/// A parameter of a query string, decoded as in forms.
pub(super) fn parameter(query: &str, name: &str) -> Result<Option<String>, Rejection> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let values = pairs.filter(|(key, _)| form_decode(key).is_ok_and(|key| key == name));
    only(values)?.map(|(_, value)| form_decode(value)).transpose()
}

/// A cookie out of lines of `Cookie`. Equal values count as one.
pub(super) fn cookie<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    name: &str,
) -> Result<Option<&'a str>, Rejection> {
    let cookies = lines.flat_map(|line| line.split(|&byte| byte == b';'));
    let pairs = cookies.filter_map(|cookie| split_once(cookie.trim_ascii(), b'='));
    let mut values = pairs.filter(|(key, _)| *key == name.as_bytes()).map(|(_, value)| unquoted(value));
    let Some(value) = values.next() else { return Ok(None) };
    if values.any(|other| other != value) {
        return Err(Rejection::Ambiguous);
    }
    text(value).map(Some)
}

/// The token of `Bearer …` out of lines of `Authorization`.
pub(super) fn bearer<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a str>, Rejection> {
    let tokens = lines.filter_map(|line| {
        let (scheme, token) = split_once(line, b' ')?;
        let token = token.trim_ascii();
        (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
    });
    only(tokens)?.map(text).transpose()
}

/// The elements of a header that is a list, without those that are not UTF-8.
pub(super) fn elements<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a str> {
    let elements = lines.flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    elements.filter_map(|element| text(element).ok()).filter(|element| !element.is_empty())
}

/// A token in base64url without padding, in its shortest form.
pub(super) fn base64url(token: &str) -> Result<String, Rejection> {
    let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| Rejection::Malformed)?;
    String::from_utf8(token).map_err(|_| Rejection::Malformed)
}

/// The only item, if there is one.
pub(super) fn only<T>(mut items: impl Iterator<Item = T>) -> Result<Option<T>, Rejection> {
    let first = items.next();
    if items.next().is_some() { Err(Rejection::Malformed) } else { Ok(first) }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Rejection> {
    str::from_utf8(bytes).map_err(|_| Rejection::Malformed)
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

fn form_decode(text: &str) -> Result<String, Rejection> {
    decode(&text.replace('+', " ")).map(Cow::into_owned)
}
