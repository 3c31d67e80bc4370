//! A NATS server of a test.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Directory;

/// A nats-server on a port and in a directory of its own. It ends with the test.
pub(crate) struct NatsServer {
    process: Child,
    port: u16,
    arguments: Vec<String>,
    directory: Directory,
}

impl NatsServer {
    /// A server with JetStream.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &["-js"])
    }

    pub(crate) fn start_with(name: &str, arguments: &[&str]) -> Self {
        let directory = Directory::new(name);
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = spawn(&directory.0, -1, &arguments);
        let ports = directory.0.join(format!("nats-server_{}.ports", process.id()));
        let port = awaited("the port of nats-server", || {
            let ports: serde_json::Value = serde_json::from_str(&fs::read_to_string(&ports).ok()?).ok()?;
            ports["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok()
        });
        let server = Self { process, port, arguments, directory };
        server.wait();
        server
    }

    /// Three servers with JetStream that are one NATS cluster.
    pub(crate) fn cluster(name: &str) -> [Self; 3] {
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let routes = listeners.map(|free| format!("nats://{}", free.local_addr().expect("an address")));
        let all = routes.join(",");
        let mut number = 0;
        routes.map(|route| {
            number += 1;
            let own = format!("{name}-{number}");
            let cluster = ["--cluster_name", name, "--cluster", &route, "--routes", &all];
            Self::start_with(&own, &[&["-js", "--server_name", &own], &cluster[..]].concat())
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Ends the server without a chance to write anything.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("a process");
        self.process.wait().expect("an end");
    }

    /// Starts the killed server again, with its data.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&self.directory.0, i32::from(self.port), &self.arguments);
        self.wait();
    }

    /// Removes the data of the killed server.
    pub(crate) fn lose_data(&self) {
        fs::remove_dir_all(self.data()).expect("the data");
    }

    /// Copies the data of the killed server.
    pub(crate) fn back_up(&self) {
        copy(&self.data(), &self.directory.0.join("backup"));
    }

    /// Replaces the data of the killed server by the copy.
    pub(crate) fn restore(&self) {
        self.lose_data();
        copy(&self.directory.0.join("backup"), &self.data());
    }

    /// The server stops working, and its connections stay.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        // Each thread stops when it gets to know of it.
        let tasks = format!("/proc/{}/task", self.process.id());
        let is_stopped = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        };
        awaited("the end of all threads", || {
            let mut tasks = fs::read_dir(&tasks).ok()?;
            tasks.all(|task| task.is_ok_and(is_stopped)).then_some(())
        });
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.0.join("log")).expect("a log")
    }

    /// The number of messages that clients have sent, by the server's own count. The server must be started with `-m -1`.
    pub(crate) fn messages_in(&self) -> u64 {
        let ports = self.directory.0.join(format!("nats-server_{}.ports", self.process.id()));
        let ports: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(ports).expect("the ports")).expect("JSON");
        let address = ports["monitoring"][0].as_str().expect("a monitoring port").replace("http://", "");
        let mut stream = TcpStream::connect(&address).expect("the monitoring port");
        let request = format!("GET /varz HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let numbers: serde_json::Value = serde_json::from_str(body).expect("JSON");
        numbers["in_msgs"].as_u64().expect("a number")
    }

    fn data(&self) -> PathBuf {
        self.directory.0.join("jetstream")
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Waits until the server accepts connections. JetStream is ready by then.
    fn wait(&self) {
        awaited("nats-server", || TcpStream::connect(self.address()).ok());
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program: the one that `scripts/setup` has installed, or what the variable names.
fn program() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/bin/nats-server");
    std::env::var_os("NATS_SERVER").map_or(installed, PathBuf::from)
}

fn spawn(directory: &Path, port: i32, arguments: &[String]) -> Child {
    let mut command = Command::new(program());
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "--ports_file_dir"]).arg(directory);
    command.arg("-sd").arg(directory).arg("-l").arg(directory.join("log")).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("nats-server runs: see scripts/setup test")
}

fn awaited<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}
