//! From whose pages a browser may connect.

use http::header;

use crate::handshake::Handshake;
use crate::rejection::Rejection;

/// Which pages may connect, by the `Origin` that a browser puts on every WebSocket opening (RFC 6455,
/// section 10.2).
///
/// Without this check any page in the world could use the cookies of whoever looks at it. A client that
/// sends no `Origin` is no browser and is let through, unless [`Origins::or_none`] forbids it: it has no cookies
/// of other people's.
///
/// ```
/// use keywire::Origins;
///
/// let origins = Origins::same().and("https://app.example.com").and_loopback();
/// # let _ = origins;
/// ```
#[derive(Debug, Clone)]
pub struct Origins {
    any: bool,
    same: bool,
    loopback: bool,
    none: bool,
    listed: Vec<Box<str>>,
}

impl Origins {
    /// Pages of the host and port that the request itself names, which is the default. The scheme is not
    /// compared: a proxy may have taken the TLS off.
    #[must_use]
    pub fn same() -> Self {
        Self { any: false, same: true, loopback: false, none: true, listed: Vec::new() }
    }

    /// Only the pages that are named by [`Origins::and`].
    #[must_use]
    pub fn listed() -> Self {
        Self { same: false, ..Self::same() }
    }

    /// All pages there are. Safe only where no credential is sent by the browser on its own, as cookies are.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::same() }
    }

    /// And the pages of this origin, `https://app.example.com` for example, compared exactly.
    #[must_use]
    pub fn and(mut self, origin: impl Into<Box<str>>) -> Self {
        self.listed.push(origin.into());
        self
    }

    /// And pages that come from this very machine, on any port: a front end in development.
    #[must_use]
    pub fn and_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// And clients that send no `Origin`, as browsers never do: yes by default. To forbid it keeps out honest
    /// programs only, since the others write there what they like.
    #[must_use]
    pub fn or_none(mut self, allowed: bool) -> Self {
        self.none = allowed;
        self
    }

    pub(crate) fn check(&self, handshake: &Handshake) -> Result<(), Rejection> {
        if self.any && self.none {
            return Ok(());
        }
        // Two of them, or one that is no text, come from no browser.
        let origin = handshake.header(header::ORIGIN).map_err(|_| Rejection::Forbidden)?;
        let Some(origin) = origin else {
            return if self.none { Ok(()) } else { Err(Rejection::Forbidden) };
        };
        let allowed = self.any
            || (self.same && is_same(origin, handshake))
            || (self.loopback && is_loopback(origin))
            || self.listed.iter().any(|listed| **listed == *origin);
        if allowed { Ok(()) } else { Err(Rejection::Forbidden) }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self::same()
    }
}

fn is_same(origin: &str, handshake: &Handshake) -> bool {
    let Some((scheme, authority)) = split(origin) else { return false };
    let Ok(Some(host)) = handshake.header(header::HOST) else { return false };
    // An origin leaves the default port out (RFC 6454, section 6.2); a client may write it into `Host`.
    let host = host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(host);
    authority.eq_ignore_ascii_case(host)
}

fn is_loopback(origin: &str) -> bool {
    let Some((_, authority)) = split(origin) else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

/// The scheme and authority of a web page's origin; `null`, files and extensions have none.
fn split(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    (matches!(scheme, "http" | "https") && !authority.contains(['/', '@'])).then_some((scheme, authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origins: &Origins, host: &str, origin: Option<&str>) -> bool {
        let mut request = http::Request::get("/").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        origins.check(&Handshake::new(request.body(()).unwrap())).is_ok()
    }

    #[test]
    fn the_same_host_and_port_and_no_other() {
        let same = Origins::same();
        for (host, origin) in [
            ("a.com", "https://a.com"),
            ("a.com:443", "https://a.com"),
            ("a.com:8090", "http://a.com:8090"),
            ("A.com", "https://a.com"),
            ("[::1]:8090", "http://[::1]:8090"),
        ] {
            assert!(allows(&same, host, Some(origin)), "{origin} at {host}");
        }
        for (host, origin) in [
            ("a.com", "https://b.com"),
            ("a.com", "https://a.com.evil.com"),
            ("a.com", "https://evila.com"),
            ("a.com:8090", "http://a.com:8091"),
            ("a.com", "https://user@a.com"),
            ("a.com", "null"),
            ("a.com", "file://"),
            ("a.com", ""),
            ("localhost:1", "http://localhost:2"),
        ] {
            assert!(!allows(&same, host, Some(origin)), "{origin} at {host}");
        }
        assert!(allows(&same, "a.com", None));
    }

    #[test]
    fn a_list_is_exact() {
        let listed = Origins::listed().and("https://a.com");
        assert!(allows(&listed, "b.com", Some("https://a.com")));
        for origin in ["http://a.com", "https://a.com:444", "https://b.com", "https://a.com/"] {
            assert!(!allows(&listed, "b.com", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn loopback_is_this_machine_on_any_port() {
        let loopback = Origins::same().and_loopback();
        for origin in ["http://localhost:5173", "http://127.0.0.1", "https://[::1]:3000"] {
            assert!(allows(&loopback, "x:8090", Some(origin)), "{origin}");
        }
        for origin in
            ["http://localhost.evil.com", "http://127.0.0.1.evil.com", "http://evil.com:127", "null"]
        {
            assert!(!allows(&loopback, "x:8090", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn any_is_any() {
        assert!(allows(&Origins::any(), "a.com", Some("null")));
        assert!(allows(&Origins::any(), "a.com", None));
    }

    #[test]
    fn who_sends_none_may_be_kept_out() {
        for origins in [Origins::same(), Origins::listed().and("https://a.com"), Origins::any()] {
            let origins = origins.or_none(false);
            assert!(!allows(&origins, "a.com", None), "{origins:?}");
            assert!(allows(&origins, "a.com", Some("https://a.com")), "{origins:?}");
            assert!(allows(&origins.or_none(true), "a.com", None));
        }
    }
}
