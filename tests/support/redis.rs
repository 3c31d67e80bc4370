//! A Redis of a test's own, and faults between it and keywire.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Directory, stopped, until};

/// A server on a port of its own, with a directory of its own. It ends with this value.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    directory: Directory,
    arguments: Vec<String>,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more arguments, as `--maxmemory 10mb`.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        // Another process may take the port before the server does; then the server ends, and another port is tried.
        for _ in 0..10 {
            let port = free_port();
            let directory = Directory::new(&format!("redis-{port}"));
            let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            let child = spawn(port, &directory, &arguments);
            let mut server = Self { child, port, directory, arguments };
            if server.answers().await {
                return server;
            }
        }
        panic!("redis-server ends with these arguments: {arguments:?}")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.0.join("redis.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The answer to a command, as redis-cli prints it.
    pub(crate) async fn command(&self, command: &[&str]) -> String {
        let mut arguments = vec!["-p".to_owned(), self.port.to_string()];
        arguments.extend(command.iter().map(|part| (*part).to_owned()));
        run("redis-cli", arguments).await
    }

    /// Kills the server. What it had not saved is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a server to kill");
        self.child.wait().expect("the end of the server");
    }

    /// Starts the server again, with what it has saved.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.port, &self.directory, &self.arguments);
        assert!(self.answers().await, "the server starts again");
    }

    /// Starts the server again, without any data.
    pub(crate) async fn start_empty(&mut self) {
        for entry in fs::read_dir(&self.directory.0).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rdb") {
                fs::remove_file(path).expect("a file");
            }
        }
        self.start_again().await;
    }

    /// Stops the server's process, or lets it go on.
    pub(crate) async fn signal(&self, signal: &str) {
        run("kill", vec![format!("-{signal}"), self.pid().to_string()]).await;
        if signal == "STOP" {
            stopped(self.pid()).await;
        }
    }

    /// Whether it runs and answers.
    async fn answers(&mut self) -> bool {
        let port = self.port;
        let child = &mut self.child;
        until("Redis to answer", async || {
            if child.try_wait().expect("the state of the server").is_some() {
                return Ok(false);
            }
            let ping = async {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.write_all(b"PING\r\n").await?;
                let mut answer = [0; 16];
                let len = stream.read(&mut answer).await?;
                std::io::Result::Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
            };
            match ping.await {
                // One that wants a password answers as well.
                Ok(answer) if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") => Ok(true),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program: Debian's, or what the variable names, as Valkey.
fn program() -> std::ffi::OsString {
    std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

fn spawn(port: u16, directory: &Directory, arguments: &[String]) -> Child {
    let log = File::create(directory.0.join("log")).expect("a file");
    Command::new(program())
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(&directory.0)
        .arg("--unixsocket")
        .arg(directory.0.join("redis.sock"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a handle"))
        .stderr(log)
        .spawn()
        .expect("redis-server: scripts/setup test installs it")
}

async fn run(program: &'static str, arguments: Vec<String>) -> String {
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("a program of Debian")
    });
    let output = output.await.expect("no panic");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A Redis Cluster of three masters.
pub(crate) struct RedisCluster(pub(crate) Vec<RedisServer>);

impl RedisCluster {
    pub(crate) async fn start() -> Self {
        let mut servers = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            let arguments =
                ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
            servers.push(RedisServer::start_with(&arguments).await);
        }
        let mut create = vec!["--cluster".to_owned(), "create".to_owned()];
        create.extend(servers.iter().map(|server| format!("127.0.0.1:{}", server.port())));
        create.push("--cluster-yes".to_owned());
        run("redis-cli", create).await;
        for server in &servers {
            until("the cluster", async || match server.command(&["CLUSTER", "INFO"]).await {
                info if info.contains("cluster_state:ok") => Ok(()),
                info => Err(info),
            })
            .await;
        }
        Self(servers)
    }

    /// Adds a replica of the second master.
    pub(crate) async fn add_replica(&self) -> RedisServer {
        let bus = free_port().to_string();
        let arguments =
            ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
        let replica = RedisServer::start_with(&arguments).await;
        let master = self.0[1].command(&["CLUSTER", "MYID"]).await;
        let (new, known) =
            (format!("127.0.0.1:{}", replica.port()), format!("127.0.0.1:{}", self.0[0].port()));
        let add = ["--cluster", "add-node", &new, &known, "--cluster-slave", "--cluster-master-id", &master];
        run("redis-cli", add.map(str::to_owned).to_vec()).await;
        until("the replica", async || match self.0[1].command(&["ROLE"]).await {
            role if role.contains(&replica.port().to_string()) => Ok(()),
            role => Err(role),
        })
        .await;
        replica
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.0[0].port())
    }

    /// The servers that have this slot and another, and the id of the other.
    pub(crate) async fn around(&self, slot: u16) -> (&RedisServer, &RedisServer, String) {
        let mut found = None;
        for server in &self.0 {
            let mine = server.command(&["CLUSTER", "NODES"]).await;
            let mine = mine.lines().find(|line| line.contains("myself")).expect("itself").to_owned();
            let has = mine.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                first.parse().is_ok_and(|first: u16| first <= slot)
                    && last.parse().is_ok_and(|last: u16| slot <= last)
            });
            if has {
                found = Some(server);
            }
        }
        let from = found.expect("a node that has the slot");
        let to = self.0.iter().find(|server| server.port() != from.port()).expect("another node");
        (from, to, to.command(&["CLUSTER", "MYID"]).await)
    }

    /// Moves a slot with its keys to another node.
    pub(crate) async fn move_slot(&self, slot: u16) {
        let (from, to, id) = self.around(slot).await;
        self.begin_move(slot).await;
        let number = slot.to_string();
        let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &number, "1000"]).await;
        for key in keys.lines() {
            let port = to.port().to_string();
            from.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
        }
        for server in [to, from].into_iter().chain(&self.0) {
            server.command(&["CLUSTER", "SETSLOT", &number, "NODE", &id]).await;
        }
    }

    /// The slot is on its way to another node.
    pub(crate) async fn begin_move(&self, slot: u16) {
        let (from, to, id) = self.around(slot).await;
        let from_id = from.command(&["CLUSTER", "MYID"]).await;
        let number = slot.to_string();
        to.command(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &from_id]).await;
        from.command(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &id]).await;
    }

    /// The slot of a name.
    pub(crate) async fn slot(&self, name: &str) -> u16 {
        self.command(&["CLUSTER", "KEYSLOT", name]).await.parse().expect("a number")
    }

    pub(crate) async fn command(&self, command: &[&str]) -> String {
        self.0[0].command(command).await
    }
}

/// A Sentinel, which knows the master of this port as `main`.
pub(crate) struct RedisSentinel(RedisServer);

impl RedisSentinel {
    pub(crate) async fn of(master: u16) -> Self {
        loop {
            let port = free_port();
            let directory = Directory::new(&format!("sentinel-{port}"));
            let config = directory.0.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n\
                 sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n",
                directory.0.display()
            );
            fs::write(&config, text).expect("a file");
            let log = File::create(directory.0.join("log")).expect("a file");
            let child = Command::new(program())
                .arg(&config)
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(log)
                .spawn()
                .expect("redis-server: scripts/setup test installs it");
            let mut server = RedisServer { child, port, directory, arguments: Vec::new() };
            if server.answers().await {
                return Self(server);
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.0.port)
    }

    pub(crate) async fn command(&self, command: &[&str]) -> String {
        self.0.command(command).await
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A TCP proxy that can stop to forward without closing anything: a network that swallows packets.
pub(crate) struct Swallower {
    address: SocketAddr,
    swallows: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Swallower {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (swallows, state) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (client, server) = (client.into_split(), server.into_split());
                tokio::spawn(forward(client.0, server.1, state.clone()));
                tokio::spawn(forward(server.0, client.1, state.clone()));
            }
        });
        Self { address, swallows, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Swallows everything on all connections that are open, and lets new ones through. No connection is closed.
    pub(crate) fn swallow(&self) {
        self.swallows.send_replace(true);
        self.swallows.send_replace(false);
    }
}

impl Drop for Swallower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut swallows: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    swallows.mark_unchanged();
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(len @ 1..) if to.write_all(&buffer[..len]).await.is_ok() => {}
                _ => return,
            },
            // Neither closed nor read, for ever.
            changed = swallows.changed() => if changed.is_ok() { return std::future::pending().await },
        }
    }
}

/// A server that gives the same answer to everything.
pub(crate) async fn answering(answer: &'static [u8]) -> (SocketAddr, Arc<tokio::task::JoinHandle<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, Arc::new(task))
}
