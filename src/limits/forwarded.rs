//! The headers by which proxies tell a client's address: `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! A line is read from its end, which the trusted proxy wrote, and as bytes, so nothing that a client writes before it can hide
//! it.

use std::borrow::Cow;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The addresses in a line of `X-Forwarded-For`, last first, with `None` in place of an unreadable one.
pub(super) fn x_forwarded_for(line: &[u8]) -> impl Iterator<Item = Option<SocketAddr>> {
    let elements = line.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    // Empty elements do not count (RFC 9110, section 5.6.1.2).
    elements.filter(|element| !element.is_empty()).map(node)
}

/// The addresses in a line of `Forwarded`, last first, with `None` in place of an unreadable one.
pub(super) fn forwarded(line: &[u8]) -> impl Iterator<Item = Option<SocketAddr>> {
    let elements = rsplit(line, b',').filter(|element| element.is_none_or(|element| !element.is_empty()));
    elements.map(|element| element.and_then(address))
}

/// The parts between separators outside of quotes, trimmed, last first, with `None` in place of a part with unpaired quotes.
fn rsplit(list: &[u8], separator: u8) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(list);
    iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        for (at, &byte) in text.iter().enumerate().rev() {
            if byte == b'"' && !(quoted && is_escaped(&text[..at])) {
                quoted = !quoted;
            } else if byte == separator && !quoted {
                rest = Some(&text[..at]);
                return Some(Some(text[at + 1..].trim_ascii()));
            }
        }
        rest = None;
        Some((!quoted).then_some(text.trim_ascii()))
    })
}

/// Whether the next byte belongs to a quoted pair. An even number of backslashes are pairs of their own.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The address in one element of `Forwarded`, after its only `for=` (RFC 7239, section 4).
fn address(element: &[u8]) -> Option<SocketAddr> {
    let mut found = None;
    for pair in rsplit(element, b';') {
        let pair = pair?;
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) =
            (pair[..equals].trim_ascii_end(), unquoted(pair[equals + 1..].trim_ascii_start())?);
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
    node(&found?)
}

/// A token, or the content of a quoted string (RFC 9110, section 5.6.4).
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(value) = value.strip_prefix(b"\"") else {
        return (!value.contains(&b'"')).then_some(value.into());
    };
    let mut bytes = value.strip_suffix(b"\"")?.iter();
    let mut text = Vec::new();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => text.push(*bytes.next()?),
            b'"' => return None,
            byte => text.push(byte),
        }
    }
    Some(text.into())
}

/// An address with or without a port (RFC 7239, section 6). IPv6 without a port may omit the brackets. `unknown` and a hidden
/// name such as `_hidden` are no address.
fn node(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?;
    let (host, port): (IpAddr, &str) = match text.strip_prefix('[') {
        Some(text) => {
            let (host, port) = text.split_once(']')?;
            (ipv6(host)?.into(), port)
        }
        None if text.matches(':').nth(1).is_some() => (ipv6(text)?.into(), ""),
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (host.parse::<Ipv4Addr>().ok()?.into(), port)
        }
    };
    let port = if port.is_empty() { 0 } else { self::port(port.strip_prefix(':')?)? };
    Some(SocketAddr::new(host.to_canonical(), port))
}

/// An IPv6 address without its zone, which only the machine that wrote it can interpret (RFC 4007, section 11).
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        Some((address, zone)) if is_name(zone) => address,
        Some(_) => return None,
        None => text,
    };
    address.parse().ok()
}

/// A number, or 0 for an obfuscated port (RFC 7239, section 6.3).
fn port(text: &str) -> Option<u16> {
    match text.strip_prefix('_') {
        Some(name) => is_name(name).then_some(0),
        None if text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests;
