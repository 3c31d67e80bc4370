use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::error::RedisError;

/// What a URL says about the servers and the way to them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) deployment: Deployment,
    /// At least one.
    pub(super) servers: Vec<Endpoint>,
    pub(super) tls: bool,
    pub(super) login: Login,
    pub(super) database: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deployment {
    Single,
    /// Redis Cluster. The servers are some of its nodes.
    Cluster,
    /// The servers are Sentinels, which know the master of this name.
    Sentinel(String),
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Endpoint {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// User and password. It is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

type Parsed<T> = Result<T, RedisError>;

impl Target {
    /// Reads a URL. An error contains nothing of it, since it has a password.
    pub(super) fn parse(url: &str) -> Parsed<Self> {
        let (scheme, rest) = url.split_once("://").ok_or(RedisError::Url("it has no scheme"))?;
        if rest.contains('#') {
            return Err(RedisError::Url("it has a fragment"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A slash in a password is percent-encoded.
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let login = Login::parse(login)?;
        let (tls, kind) = match scheme {
            "unix" | "redis+unix" | "valkey+unix" => return Self::unix(login, hosts, path, query),
            "redis" | "valkey" => (false, ""),
            "rediss" | "valkeys" => (true, ""),
            _ => match scheme.split_once('+') {
                Some(("redis" | "valkey", kind)) => (false, kind),
                Some(("rediss" | "valkeys", kind)) => (true, kind),
                _ => (false, "?"),
            },
        };
        if !query.is_empty() {
            return Err(RedisError::Url("it has a query"));
        }
        let (deployment, database, port) = match kind {
            "" => (Deployment::Single, path, PORT),
            "cluster" => (Deployment::Cluster, path, PORT),
            "sentinel" => {
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err(RedisError::Url(
                        "it does not name the master, as in redis+sentinel://host/master",
                    ));
                }
                (Deployment::Sentinel(decoded(service)?), database, SENTINEL_PORT)
            }
            _ => return Err(RedisError::Url("its scheme is unknown")),
        };
        let servers: Vec<_> =
            hosts.split(',').map(|host| Endpoint::tcp(host, port)).collect::<Parsed<_>>()?;
        if deployment == Deployment::Single && servers.len() > 1 {
            return Err(RedisError::Url("it has several servers: use redis+cluster:// or redis+sentinel://"));
        }
        let database = number(database)?;
        if deployment == Deployment::Cluster && database != 0 {
            return Err(RedisError::Url("a Redis Cluster has only database 0"));
        }
        Ok(Self { deployment, servers, tls, login, database })
    }

    fn unix(login: Login, host: &str, path: &str, query: &str) -> Parsed<Self> {
        if !host.is_empty() || path.is_empty() {
            return Err(RedisError::Url(
                "a socket is named by an absolute path, as in unix:///run/redis.sock",
            ));
        }
        let database = match query.split_once('=') {
            Some(("db", database)) => database,
            None if query.is_empty() => "",
            _ => return Err(RedisError::Url("the query of a socket is db=NUMBER")),
        };
        let path = PathBuf::from(format!("/{}", decoded(path)?));
        Ok(Self {
            deployment: Deployment::Single,
            servers: vec![Endpoint::Unix(path)],
            tls: false,
            login,
            database: number(database)?,
        })
    }
}

impl Login {
    fn parse(text: &str) -> Parsed<Self> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let some = |text: &str| Ok((!text.is_empty()).then_some(decoded(text)?));
        let login = Self { user: some(user)?, password: some(password)? };
        if login.user.is_some() && login.password.is_none() {
            return Err(RedisError::Url("it has a user and no password"));
        }
        Ok(login)
    }
}

impl Endpoint {
    /// Reads `host`, `host:port` or `[address]:port`.
    pub(super) fn tcp(text: &str, default: u16) -> Parsed<Self> {
        let wrong = || RedisError::Url("a server must be host, host:port or [address]:port");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(wrong)?) })
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || (host.contains(':') && !text.starts_with('[')) {
            return Err(wrong());
        }
        let port = port.map_or(Ok(default), |port| port.parse().map_err(|_| wrong()))?;
        Ok(Self::Tcp { host: decoded(host)?, port })
    }
}

fn number(text: &str) -> Parsed<u32> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| RedisError::Url("the database is not a number"))
}

fn decoded(text: &str) -> Parsed<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| RedisError::Url("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.into(), port }
    }

    #[test]
    fn each_form_is_read() {
        let none = Login::default();
        let both = Login { user: Some("me".into()), password: Some("p@:/%".into()) };
        for (url, deployment, servers, tls, login, database) in [
            ("redis://localhost", Deployment::Single, vec![tcp("localhost", 6379)], false, &none, 0),
            ("valkey://[::1]:7000/3", Deployment::Single, vec![tcp("::1", 7000)], false, &none, 3),
            ("rediss://me:p%40:%2F%25@h:1/", Deployment::Single, vec![tcp("h", 1)], true, &both, 0),
            (
                "unix:///run/redis.sock?db=2",
                Deployment::Single,
                vec![Endpoint::Unix("/run/redis.sock".into())],
                false,
                &none,
                2,
            ),
            (
                "redis+cluster://a:1,b",
                Deployment::Cluster,
                vec![tcp("a", 1), tcp("b", 6379)],
                false,
                &none,
                0,
            ),
            (
                "rediss+sentinel://me:p%40:%2F%25@a,b:7/main/1",
                Deployment::Sentinel("main".into()),
                vec![tcp("a", 26379), tcp("b", 7)],
                true,
                &both,
                1,
            ),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((&target.deployment, &target.servers), (&deployment, &servers), "{url}");
            assert!((target.tls, &target.login, target.database) == (tls, login, database), "{url}");
        }
        let password = Target::parse("redis://:secret@h").unwrap().login;
        assert!(password == Login { user: None, password: Some("secret".into()) });
    }

    #[test]
    fn an_error_shows_nothing_of_the_url() {
        for url in [
            "localhost",
            "http://secret@h",
            "redis+x://secret@h",
            "redis://me:secret@h:x",
            "redis://me:secret@a,b",
            "redis://me:secret@h/x",
            "redis://me:secret@::1",
            "redis://me:secret@[::1",
            "redis://me:secret@[::1]x",
            "redis://:secret@",
            "redis://secret@h",
            "redis://:secret%ff@h",
            "redis://:secret@h?a=b",
            "redis://:secret@h#insecure",
            "redis+cluster://:secret@h/1",
            "redis+sentinel://:secret@h",
            "unix://:secret@h/a",
            "unix:///a?secret",
        ] {
            let Err(error) = Target::parse(url) else { panic!("{url} is accepted") };
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
}
