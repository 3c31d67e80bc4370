//! How proxies write down where a request came from: `Forwarded` (RFC 7239) and `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

/// The elements of a list that stand between separators outside of quotes, the last first. None in place of one
/// whose quotes are not paired.
///
/// It is read from its end, since only that is written by somebody who is trusted: a quote that a client left
/// open in front of it must not swallow it.
pub(super) fn rsplit(list: &str, separator: u8) -> impl Iterator<Item = Option<&str>> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        for (at, byte) in text.bytes().enumerate().rev() {
            if byte == b'"' {
                quoted = !quoted;
            } else if byte == separator && !quoted {
                rest = Some(&text[..at]);
                return Some(Some(&text[at + 1..]));
            }
        }
        rest = None;
        Some((!quoted).then_some(text))
    })
}

/// The address in one element of `Forwarded`, behind its only `for=`.
pub(super) fn element(element: &str) -> Option<SocketAddr> {
    let mut found = None;
    for pair in rsplit(element, b';') {
        let pair = pair?.trim();
        // An empty one is allowed (section 4).
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let value = found?;
    node(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address with or without a port, in whichever way it is written; a port that is missing or kept secret
/// (RFC 7239, section 6.3) is 0.
pub(super) fn node(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Some(canonical(address));
    }
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.starts_with('_') => host,
        _ => text,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.parse().ok().map(|ip: IpAddr| canonical(SocketAddr::new(ip, 0)))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_outside_of_quotes() {
        let split = |list| rsplit(list, b',').collect::<Vec<_>>();
        assert_eq!(split("a,b"), [Some("b"), Some("a")]);
        assert_eq!(split(""), [Some("")]);
        assert_eq!(split("a,,"), [Some(""), Some(""), Some("a")]);
        assert_eq!(split("\"a,b\",c"), [Some("c"), Some("\"a,b\"")]);
        assert_eq!(split("\"a,b"), [Some("b"), None]);
    }

    #[test]
    fn nodes() {
        for (text, address) in [
            ("192.0.2.1", Some("192.0.2.1:0")),
            (" 192.0.2.1 ", Some("192.0.2.1:0")),
            ("192.0.2.1:47", Some("192.0.2.1:47")),
            ("192.0.2.1:_secret", Some("192.0.2.1:0")),
            ("2001:db8::1", Some("[2001:db8::1]:0")),
            ("[2001:db8::1]", Some("[2001:db8::1]:0")),
            ("[2001:db8::1]:47", Some("[2001:db8::1]:47")),
            ("::ffff:192.0.2.1", Some("192.0.2.1:0")),
            ("[::ffff:192.0.2.1]:47", Some("192.0.2.1:47")),
            ("unknown", None),
            ("_hidden", None),
            ("", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.256", None),
            ("192.0.2", None),
            ("0xc0000201", None),
            ("192.0.2.01", None),
            ("[2001:db8::1", None),
            ("fe80::1%eth0", None),
            ("localhost", None),
            ("192.0.2.1 192.0.2.2", None),
        ] {
            assert_eq!(node(text), address.map(|address| address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn elements() {
        for (text, address) in [
            ("for=192.0.2.1", Some("192.0.2.1:0")),
            (" For=192.0.2.1; proto=https;by=203.0.113.43 ", Some("192.0.2.1:0")),
            ("proto=http;FOR=\"192.0.2.1:47\"", Some("192.0.2.1:47")),
            ("for=\"[2001:db8::1]:47\"", Some("[2001:db8::1]:47")),
            (";for=192.0.2.1; ;", Some("192.0.2.1:0")),
            ("by=\"a;b\";for=192.0.2.1", Some("192.0.2.1:0")),
            ("proto=https", None),
            ("for=unknown", None),
            ("for=\"_hidden\"", None),
            ("for=192.0.2.1;for=192.0.2.2", None),
            ("for=\"192.0.2.1", None),
            ("for=\"192.0.2.1\\\"\"", None),
            ("for", None),
            ("192.0.2.1", None),
            ("", None),
        ] {
            assert_eq!(element(text), address.map(|address| address.parse().unwrap()), "{text}");
        }
    }
}
