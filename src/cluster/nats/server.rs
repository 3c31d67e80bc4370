//! Addresses and credentials of servers.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::NatsError;

/// A server to connect to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether the URL demands TLS. A server may demand it as well.
    pub(super) tls: bool,
    pub(super) credentials: Credentials,
}

#[derive(Clone, PartialEq, Eq, Default)]
pub(super) enum Credentials {
    #[default]
    None,
    Token(String),
    Password {
        user: String,
        password: String,
    },
}

const DEFAULT_PORT: u16 = 4222;

/// Parses the URLs of servers, separated by commas. Credentials count for the servers after them that have none.
pub(super) fn parse(urls: &str) -> Result<Vec<Server>, NatsError> {
    let mut servers: Vec<Server> = Vec::new();
    for url in urls.split(',').map(str::trim) {
        let mut server = one(url)?;
        if server.credentials == Credentials::None
            && let Some(previous) = servers.last()
        {
            server.credentials = previous.credentials.clone();
        }
        servers.push(server);
    }
    Ok(servers)
}

fn one(url: &str) -> Result<Server, NatsError> {
    let (tls, rest) = match url.split_once("://") {
        Some(("nats", rest)) => (false, rest),
        Some(("tls", rest)) => (true, rest),
        Some(_) => return Err(NatsError::Url("it must begin with nats:// or tls://")),
        None => (false, url),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (credentials, address) = match rest.rsplit_once('@') {
        Some((credentials, address)) => (self::credentials(credentials)?, address),
        None => (Credentials::None, rest),
    };
    const PORT: NatsError = NatsError::Url("its port must be a number from 1 to 65535");
    let (host, port) = match address.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, port))) => (host, Some(port.strip_prefix(':').ok_or(PORT)?)),
        Some(None) => return Err(NatsError::Url("its address is malformed")),
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(PORT)?,
        None => DEFAULT_PORT,
    };
    if host.is_empty() || host.contains(['/', '?', '#']) {
        return Err(NatsError::Url("it needs a host, and nothing after the port"));
    }
    Ok(Server { host: host.to_owned(), port, tls, credentials })
}

fn credentials(text: &str) -> Result<Credentials, NatsError> {
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(std::borrow::Cow::into_owned).map_err(|_| NatsError::Url("its credentials are not UTF-8"))
    };
    Ok(match text.split_once(':') {
        Some((user, password)) => Credentials::Password { user: decode(user)?, password: decode(password)? },
        None => Credentials::Token(decode(text)?),
    })
}

/// Without the credentials.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_servers_and_credentials() {
        let servers = parse("nats://us%40er:p%2Cw@one, tls://[::1]:4223/,two:1,nats://token@three").unwrap();
        let password = Credentials::Password { user: "us@er".into(), password: "p,w".into() };
        let expected = [
            ("one:4222", false, &password),
            ("[::1]:4223", true, &password),
            ("two:1", false, &password),
            ("three:4222", false, &Credentials::Token("token".into())),
        ];
        for (server, (address, tls, credentials)) in servers.iter().zip(expected) {
            assert_eq!((server.to_string().as_str(), server.tls), (address, tls));
            assert!(server.credentials == *credentials, "{address}");
        }
        assert!(!format!("{servers:?}").contains("token"));
        for wrong in ["", "http://h", "nats://", "nats://h:0", "nats://h:x", "nats://[::1", "h/path", "a,,b"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
