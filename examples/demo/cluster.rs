//! `--redis`, `--nats`: a cluster of demos.

use std::time::Duration;

use keywire::cluster::Cluster;
use keywire::cluster::presence::PresenceTiming;

/// Options for a cluster: several demos that send to each other's sessions. They meet in Redis, Valkey or NATS.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterOptions {
    /// Join the cluster on this Redis or Valkey, for example `redis://127.0.0.1`. Without `--log`, pushes are kept there too.
    #[arg(long, value_name = "URL", group = "engine")]
    redis: Option<String>,

    /// Join the cluster on this NATS server, for example `nats://127.0.0.1`. Without `--log`, pushes are kept there too.
    #[arg(long, value_name = "URL", group = "engine")]
    nats: Option<String>,

    /// Address of another node, for example `127.0.0.1:8092`. A page that loses its node goes on there. May be repeated.
    #[arg(long, value_name = "ADDR", requires = "engine")]
    pub(crate) peer: Vec<String>,

    /// Name of this node on the page [default: its address].
    #[arg(long, value_name = "NAME", requires = "engine")]
    pub(crate) name: Option<String>,

    /// Let any client kill this process: by the page, or by `POST /kill`.
    #[arg(long, requires = "engine")]
    pub(crate) killable: bool,
}

/// What the nodes meet in.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) cluster: Cluster,
}

impl ClusterOptions {
    /// Connects to the engine. `None`: there is no cluster.
    pub(crate) async fn join(&self) -> Result<Option<Engine>, String> {
        if let Some(url) = &self.redis {
            return Ok(Some(Engine { name: "Redis", cluster: redis(url).await? }));
        }
        if let Some(url) = &self.nats {
            return Ok(Some(Engine { name: "NATS", cluster: nats(url).await? }));
        }
        Ok(None)
    }
}

/// Shorter than the defaults, so that people see the keys of a killed node leave.
pub(crate) fn timing() -> PresenceTiming {
    PresenceTiming { delay: Duration::from_secs(3), lease: Duration::from_secs(10) }
}

// A URL may contain a password, so no error shows it.

#[cfg(feature = "redis")]
async fn redis(url: &str) -> Result<Cluster, String> {
    let redis = keywire::cluster::Redis::connect(url).await;
    redis.map(Cluster::from).map_err(|error| format!("--redis: {error}"))
}

#[cfg(not(feature = "redis"))]
async fn redis(_: &str) -> Result<Cluster, String> {
    Err("--redis needs the feature redis, which this demo was built without".into())
}

#[cfg(feature = "nats")]
async fn nats(url: &str) -> Result<Cluster, String> {
    let nats = keywire::cluster::Nats::connect(url).await;
    nats.map(Cluster::from).map_err(|error| format!("--nats: {error}"))
}

#[cfg(not(feature = "nats"))]
async fn nats(_: &str) -> Result<Cluster, String> {
    Err("--nats needs the feature nats, which this demo was built without".into())
}
