//! Origin check: which pages may connect.

use std::borrow::Cow;

use http::header;

use crate::handshake::Handshake;
use crate::refusal::{Refusal, shown};
use crate::rejection::Rejection;

/// Allowed origins: the pages that may connect. A browser sends the page's `Origin` with every WebSocket opening (RFC 6455, section
/// 10.2).
///
/// Without this check any page could connect with the cookies of its visitor. A client without `Origin` is not a browser and has no
/// visitor's cookies. It is accepted unless [`Origins::or_none`] forbids it.
///
/// ```
/// use keywire::auth::Origins;
///
/// let origins = Origins::same().and("https://app.example.com").and_loopback();
/// # let _ = origins;
/// ```
///
/// # DNS rebinding
///
/// [`Origins::same`] compares two headers with each other. An attacker can change the DNS name `evil.example` to the server's
/// address while a page of `evil.example` is open. The page then sends `evil.example` in both headers and is accepted. It gets no
/// cookies of the server's own name, but it reaches servers that need no browser credential: on a developer's machine, in a private
/// network, or with clients known by address. [`Origins::hosts`] lists the host names of the server and refuses all others.
///
/// ```
/// use keywire::auth::Origins;
///
/// let origins = Origins::same().hosts(["chat.example.com", "localhost"]);
/// # let _ = origins;
/// ```
#[derive(Debug, Clone)]
pub struct Origins {
    any: bool,
    same: bool,
    loopback: bool,
    none: bool,
    listed: Vec<Box<str>>,
    /// Empty: any host.
    hosts: Vec<Box<str>>,
}

impl Origins {
    /// Pages of the host and port in the request's `Host`, or in its `:authority` over HTTP/2 (the default). The scheme is not compared, since a proxy may terminate
    /// TLS. [DNS rebinding](#dns-rebinding) passes this check: add [`Origins::hosts`].
    #[must_use]
    pub fn same() -> Self {
        Self { any: false, same: true, loopback: false, none: true, listed: Vec::new(), hosts: Vec::new() }
    }

    /// Only pages added by [`Origins::and`].
    #[must_use]
    pub fn listed() -> Self {
        Self { same: false, ..Self::same() }
    }

    /// All pages. Safe only if browsers do not send a credential on their own, such as a cookie.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::same() }
    }

    /// Adds the pages of this origin, for example `https://app.example.com`. Compared exactly.
    #[must_use]
    pub fn and(mut self, origin: impl Into<Box<str>>) -> Self {
        self.listed.push(origin.into());
        self
    }

    /// Adds pages of this machine on any port, for a front end in development.
    #[must_use]
    pub fn and_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Whether clients without `Origin`, which are not browsers, are accepted. Default: `true`. `false` stops only honest programs,
    /// since any program can send an `Origin`.
    #[must_use]
    pub fn or_none(mut self, allowed: bool) -> Self {
        self.none = allowed;
        self
    }

    /// Host names and addresses of the server: `chat.example.com`, `127.0.0.1`, `[::1]`. Default: any.
    ///
    /// The `Host` header of every opening must name one of them, on any port, even if the client sends no `Origin`. This stops
    /// [DNS rebinding](#dns-rebinding). A proxy in front must pass `Host` on. A second call adds to the list. An empty list allows
    /// any host.
    #[must_use]
    pub fn hosts<H: Into<Box<str>>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.hosts.extend(hosts.into_iter().map(Into::into));
        self
    }

    pub(crate) fn check(&self, handshake: &Handshake) -> Result<(), Refusal> {
        self.check_host(handshake)?;
        if self.any && self.none {
            return Ok(());
        }
        // No browser sends two origins, or one that is not ASCII.
        let Ok(origin) = handshake.header(header::ORIGIN) else {
            return Err(forbidden("there are two Origin headers, or one that is not ASCII"));
        };
        let Some(origin) = origin else {
            let none = "there is no Origin header. Setting: Origins::or_none(true)";
            return if self.none { Ok(()) } else { Err(forbidden(none)) };
        };
        let allowed = self.any
            || (self.same && is_same(origin, handshake))
            || (self.loopback && is_loopback(origin))
            || self.listed.iter().any(|listed| **listed == *origin);
        if allowed { Ok(()) } else { Err(self.foreign(origin, handshake)) }
    }

    fn check_host(&self, handshake: &Handshake) -> Result<(), Refusal> {
        if self.hosts.is_empty() {
            return Ok(());
        }
        let host = handshake.host().unwrap_or_default();
        let name = without_port(host);
        if self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let known = list(self.hosts.iter().map(|host| format!("{host:?}")));
        let (host, name) = (shown(host), shown(name));
        Err(forbidden(format!(
            "host {host} is not a host of this server; allowed: {known}. Setting: Origins::hosts([{name}])"
        )))
    }

    fn foreign(&self, origin: &str, handshake: &Handshake) -> Refusal {
        let same = self.same.then(|| {
            let host = handshake.host().unwrap_or_default();
            format!("same host {}", shown(host))
        });
        let loopback = self.loopback.then(|| "this machine".to_owned());
        let listed = self.listed.iter().map(|listed| format!("{listed:?}"));
        let allowed = list(same.into_iter().chain(loopback).chain(listed));
        let also = if is_loopback(origin) { " or Origins::and_loopback()" } else { "" };
        // Any other string may be a misplaced credential.
        let origin =
            if origin == "null" || origin.contains("://") { shown(origin) } else { "(not an origin)".into() };
        forbidden(format!(
            "origin {origin} is not allowed; allowed: {allowed}. Setting: Origins::and({origin}){also}"
        ))
    }
}

fn forbidden(why: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Rejection::Forbidden, why)
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "none".into() } else { items.join(", ") }
}

impl Default for Origins {
    fn default() -> Self {
        Self::same()
    }
}

fn is_same(origin: &str, handshake: &Handshake) -> bool {
    let Some((scheme, authority)) = split(origin) else { return false };
    let Some(host) = handshake.host() else { return false };
    // An origin omits the default port (RFC 6454, section 6.2), but a client may write the port into `Host`.
    let host = host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(host);
    authority.eq_ignore_ascii_case(host)
}

fn is_loopback(origin: &str) -> bool {
    let Some((_, authority)) = split(origin) else { return false };
    let host = without_port(authority);
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The scheme and authority of a page's origin. `null`, files and extensions have none.
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
    fn the_authority_of_http_2_is_its_host() {
        for (uri, host, version, origin, expected) in [
            ("https://a.com/", None, http::Version::HTTP_2, "https://a.com", true),
            ("https://a.com:443/", None, http::Version::HTTP_2, "https://a.com", true),
            ("https://a.com/", None, http::Version::HTTP_2, "https://b.com", false),
            ("https://u@a.com/", None, http::Version::HTTP_2, "https://a.com", false),
            // What the opening check refuses.
            ("https://a.com/", Some("b.com"), http::Version::HTTP_3, "https://b.com", false),
            // In HTTP/1.1 a client may write any URI.
            ("https://a.com/", Some("b.com"), http::Version::HTTP_11, "https://a.com", false),
        ] {
            let mut request = http::Request::get(uri).version(version).header("origin", origin);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let handshake = Handshake::new(request.body(()).unwrap());
            for origins in [Origins::same(), Origins::same().hosts(["a.com", "b.com"])] {
                assert_eq!(
                    origins.check(&handshake).is_ok(),
                    expected,
                    "{uri} {host:?} {version:?} {origin}"
                );
            }
        }
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

    /// DNS rebinding sends the attacker's name in both headers.
    #[test]
    fn a_server_answers_to_its_own_names_only() {
        let rebound =
            |origins: &Origins| allows(origins, "evil.example:8090", Some("http://evil.example:8090"));
        assert!(rebound(&Origins::same()), "two headers of one author prove nothing");
        let own = Origins::same().hosts(["chat.example", "127.0.0.1"]).hosts(["[::1]"]);
        assert!(!rebound(&own));
        for host in ["chat.example", "CHAT.example:443", "127.0.0.1:8090", "[::1]:8090", "[::1]"] {
            assert!(allows(&own, host, None), "{host}");
            assert!(allows(&own, host, Some(&format!("http://{host}"))), "{host}");
        }
        for host in
            ["", "example", "chat.example.evil", "chat.example:x", "127.0.0.2", "::1", "chat.example.", ":80"]
        {
            assert!(!allows(&own, host, None), "{host}");
        }
        for origins in [Origins::any(), Origins::listed().and("http://a.com"), Origins::same().and_loopback()]
        {
            assert!(!allows(&origins.hosts(["a.com"]), "b.com", None), "whatever else is allowed");
        }
    }

    #[test]
    fn a_refusal_says_what_which_and_by_which_setting() {
        let why = |origins: &Origins, origin| {
            let request = http::Request::get("/").header("host", "localhost:8090").header("origin", origin);
            let refusal = origins.check(&Handshake::new(request.body(()).unwrap())).unwrap_err();
            format!("{refusal:?}")
        };
        let (same, app) = (Origins::same(), Origins::listed().and("https://app.example"));
        let hosts = Origins::same().hosts(["chat.example"]);
        for (origins, origin, expected) in [
            (
                &same,
                "null",
                "origin \"null\" is not allowed; allowed: same host \"localhost:8090\". Setting: Origins::and(\"null\")",
            ),
            (
                &same,
                "http://localhost:5173",
                "Setting: Origins::and(\"http://localhost:5173\") or Origins::and_loopback()",
            ),
            (
                &app,
                "https://b.example",
                "allowed: \"https://app.example\". Setting: Origins::and(\"https://b.example\")",
            ),
            (
                &hosts,
                "http://localhost:8090",
                "host \"localhost:8090\" is not a host of this server; allowed: \"chat.example\". Setting: Origins::hosts([\"localhost\"])",
            ),
            (&same, "Bearer s3cret", "origin (not an origin) is not allowed"),
        ] {
            let why = why(origins, origin).replace('\\', "");
            assert!(why.contains(expected) && !why.contains("s3cret"), "{why}");
        }
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
