use std::error::Error;
use std::io;
use std::sync::Arc;

/// Reason why [`Redis`](super::Redis) could not connect. It never contains the password or the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The URL is not valid.
    #[error("the URL of Redis is not valid: {0}")]
    Url(&'static str),
    /// A setting is not valid.
    #[error("{0}")]
    Options(&'static str),
    /// The server cannot be reached, or does not answer in time.
    #[error("Redis at {server} cannot be reached: {source}")]
    Unreachable {
        /// The address.
        server: String,
        /// The reason.
        source: io::Error,
    },
    /// TLS cannot be set up. If the server's certificate is not trusted, the error is [`RedisError::Unreachable`].
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The server wants a password, or refuses the one in the URL.
    #[error("Redis at {server} refuses the user or password: {answer}")]
    Unauthorized {
        /// The address.
        server: String,
        /// The answer of the server.
        answer: String,
    },
    /// The server is too old.
    #[error("Redis at {server} has version {version}, and keywire needs {needed} or later")]
    TooOld {
        /// The address.
        server: String,
        /// The version of the server.
        version: String,
        /// The oldest version that will do: 6.2, or 7.0 in a Redis Cluster.
        needed: &'static str,
    },
    /// The server does not speak the protocol of Redis.
    #[error("the server at {server} is not Redis")]
    Foreign {
        /// The address.
        server: String,
    },
    /// The server is a replica, which cannot be written to.
    #[error("Redis at {server} is a replica: connect to its master")]
    Replica {
        /// The address.
        server: String,
    },
    /// The server is not what the URL says: a node of a cluster, or none.
    #[error("Redis at {server} {why}")]
    Deployment {
        /// The address.
        server: String,
        /// The difference.
        why: &'static str,
    },
    /// The server has answered with an error.
    #[error("Redis at {server}: {answer}")]
    Server {
        /// The address.
        server: String,
        /// The answer of the server.
        answer: String,
    },
}

impl RedisError {
    pub(super) fn unreachable(server: &impl ToString, source: impl Into<io::Error>) -> Self {
        Self::Unreachable { server: server.to_string(), source: source.into() }
    }
}

/// A command that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// It was never sent.
    #[error("Redis is away: {0}")]
    Away(Arc<str>),
    /// It was sent, and there was no answer. It may have had its effect.
    #[error("Redis gave no answer: {0}")]
    Lost(Arc<str>),
    /// The server has refused it.
    #[error("Redis: {0}")]
    Refused(String),
    /// The answer makes no sense.
    #[error("Redis gave an unexpected answer")]
    Unexpected,
}

/// Errors with which a server refuses a command, or a script before its first write.
const REFUSALS: [&str; 16] = [
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "WRONGPASS",
    "WRONGTYPE",
];

impl CallError {
    /// The code of the server's answer, for example `OOM`.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(answer) => code(answer),
            _ => None,
        }
    }

    /// Whether the command certainly had no effect. `REFUSALS` precede the first write of a script. Other errors may follow it.
    pub(super) fn is_without_effect(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Lost(_) | Self::Unexpected => false,
            Self::Refused(_) => self.code().is_some(),
        }
    }
}

/// The code of an answer. Redis 6.2 puts the error of a script's command behind the name of the script.
fn code(answer: &str) -> Option<&str> {
    let first = answer.split(' ').next().unwrap_or_default();
    let known = |word: &&str| REFUSALS.contains(word);
    if first == "ERR" && answer.starts_with("ERR Error running script") {
        return answer.split(' ').map(|word| word.trim_start_matches('-')).find(known);
    }
    Some(first).filter(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_answer_is_found_in_both_forms() {
        for (answer, code) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", Some("OOM")),
            ("WRONGTYPE Operation against a key script: 12ab, on @user_script:5.", Some("WRONGTYPE")),
            (
                "ERR Error running script (call to f_12): @user_script:1: WRONGTYPE Operation against",
                Some("WRONGTYPE"),
            ),
            (
                "ERR Error running script (call to f_12): @user_script:49: @user_script: 49: -OOM command not",
                Some("OOM"),
            ),
            ("ERR unknown command 'MOVED'", None),
            ("NOPERM this user has no permissions", None),
            ("", None),
        ] {
            let error = CallError::Refused(answer.into());
            assert_eq!((error.code(), error.is_without_effect()), (code, code.is_some()), "{answer}");
        }
    }
}
