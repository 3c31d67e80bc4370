//! nginx and Caddy, as the documentation configures them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

use crate::support::until;

const DOCS: &str = include_str!("../../docs/proxies.md");

/// Ends the program when the test does, however it ends: then nobody holds the other end of its input.
const GUARDED: &str = r#"exec 3<&0; { cat <&3 >/dev/null; kill -9 $$; } & exec "$@" </dev/null 3<&-"#;

/// A proxy that runs until it is dropped.
pub(crate) struct Program {
    pub(crate) addr: SocketAddr,
    child: Child,
    directory: PathBuf,
}

/// The configurations in the documentation that are in this language.
pub(crate) fn documented(language: &str) -> Vec<&'static str> {
    let blocks = DOCS.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// Replaces what stands there once.
pub(crate) fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
    text.replace(from, to)
}

/// The documented nginx in front of `server`, listening at a port of `host`.
pub(crate) async fn nginx(host: &str, server: SocketAddr) -> Program {
    nginx_with(host, server, documented("nginx")[0].to_owned()).await
}

/// The same, writing `Forwarded`.
pub(crate) async fn nginx_forwarded(host: &str, server: SocketAddr) -> Program {
    let blocks = documented("nginx");
    let line = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n";
    let server_block = replaced(blocks[0], line, blocks[2]);
    nginx_with(host, server, format!("{}\n{server_block}", blocks[1])).await
}

async fn nginx_with(host: &str, server: SocketAddr, documented: String) -> Program {
    let http = replaced(&documented, "http://127.0.0.1:8090", &format!("http://{server}"));
    let http: String = http
        .lines()
        .filter(|line| !line.contains("ssl_certificate"))
        .map(|line| format!("{line}\n"))
        .collect();
    Program::start("nginx", host, |addr, directory| {
        let http = replaced(&http, "listen 443 ssl;", &format!("listen {addr};"));
        let directory = directory.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String =
            temporary.iter().map(|name| format!("{name}_temp_path {directory}/{name};\n")).collect();
        let configuration = format!(
            "daemon off; master_process off; pid {directory}/pid; error_log {directory}/log;\n\
             events {{}}\nhttp {{\naccess_log off;\n{paths}{http}}}\n"
        );
        let arguments = ["-p", ".", "-e", "log", "-c", "configuration"];
        (configuration, arguments.map(str::to_owned).to_vec())
    })
    .await
}

/// The documented Caddy in front of `server`.
pub(crate) async fn caddy(server: SocketAddr) -> Program {
    let site = replaced(documented("caddyfile")[0], "127.0.0.1:8090", &server.to_string());
    Program::start("caddy", "127.0.0.1", |addr, _| {
        let site = replaced(&site, "app.example.com", &format!("http://:{}", addr.port()));
        let configuration = format!("{{\nadmin off\ndefault_bind 127.0.0.1\n}}\n{site}");
        let arguments = ["run", "--config", "configuration", "--adapter", "caddyfile"];
        (configuration, arguments.map(str::to_owned).to_vec())
    })
    .await
}

impl Program {
    /// Starts it at a free port, which somebody else may take in the meantime.
    async fn start(
        name: &str,
        host: &str,
        configure: impl Fn(SocketAddr, &PathBuf) -> (String, Vec<String>),
    ) -> Self {
        for _ in 0..10 {
            let free = TcpListener::bind((host, 0)).expect("a free port").local_addr().expect("an address");
            let directory =
                PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", free.port()));
            fs::create_dir_all(&directory).expect("a directory");
            let (configuration, arguments) = configure(free, &directory);
            fs::write(directory.join("configuration"), configuration).expect("a file");
            let output = fs::File::create(directory.join("output")).expect("a file");
            let child = Command::new("sh")
                .args(["-c", GUARDED, "sh", name])
                .args(arguments)
                .current_dir(&directory)
                .env("HOME", &directory)
                .env("XDG_DATA_HOME", &directory)
                .env("XDG_CONFIG_HOME", &directory)
                .stdin(Stdio::piped())
                .stderr(output.try_clone().expect("a file"))
                .stdout(output)
                .spawn()
                .expect("a shell");
            let mut program = Self { addr: free, child, directory };
            if program.is_up().await {
                return program;
            }
            let said = ["output", "log"]
                .map(|file| fs::read_to_string(program.directory.join(file)).unwrap_or_default());
            let said = said.concat();
            assert!(
                said.contains("in use"),
                "{name} does not start (scripts/setup test installs it): {said}"
            );
        }
        panic!("{name} finds no port");
    }

    /// Whether it listens, or has ended.
    async fn is_up(&mut self) -> bool {
        until("the proxy", async || {
            if self.child.try_wait().expect("a child").is_some() {
                return Ok(false);
            }
            match TcpStream::connect(self.addr).await {
                Ok(_) => Ok(true),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is killed by the end of its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
