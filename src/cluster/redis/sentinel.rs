use super::error::RedisError;
use super::link::{Access, Link, Mode};
use super::resp::Value;
use super::url::{Endpoint, Login};

/// Sentinels, which know the master of a service.
pub(super) struct Sentinels {
    pub(super) servers: Vec<Endpoint>,
    pub(super) service: String,
    pub(super) login: Login,
}

impl Sentinels {
    /// Connects to the master. The first Sentinel that knows one that is a master decides.
    pub(super) async fn open(&self, access: &Access) -> Result<Link, RedisError> {
        let mut failed = None;
        for sentinel in &self.servers {
            let opened = match self.master(access, sentinel).await {
                // During a failover it may still be a replica, or away: another Sentinel may know more.
                Ok(master) => access.open(&master, Mode::Standalone).await,
                Err(error) => Err(error),
            };
            match opened {
                Ok(link) => return Ok(link),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or(RedisError::Url("it names no server")))
    }

    async fn master(&self, access: &Access, sentinel: &Endpoint) -> Result<Endpoint, RedisError> {
        let access = access.with_login(self.login.clone());
        let ask = async {
            let mut link = access.open(sentinel, Mode::Sentinel).await?;
            link.ask(&[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self.service.as_bytes()]).await
        };
        let late = |late| RedisError::unreachable(sentinel, late);
        let answer = tokio::time::timeout(access.timeout(), ask).await.map_err(late)??;
        let server = sentinel.to_string();
        let parse = |values: Vec<Value>| {
            let (host, port) = (values.first()?.as_str()?, values.get(1)?.as_int()?);
            Some(Endpoint::Tcp { host: host.to_owned(), port: u16::try_from(port).ok()? })
        };
        match answer {
            Value::Error(answer) => Err(RedisError::Server { server, answer }),
            answer => answer.into_array().and_then(parse).ok_or(RedisError::Deployment {
                server,
                why: "is a Sentinel that does not know a master of this name",
            }),
        }
    }
}
