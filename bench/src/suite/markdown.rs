//! The document `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::read_to_string;
use std::process::Command;

use super::Plan;
use super::plot;
use super::process::cores;
use super::results::Results;
use super::servers::{BEHIND_WARP, KEYWIRE, LIMIT};
use super::thresholds::Verdict;
use crate::load::workload::Workload;
use crate::wire::PAUSE_EVERY;

/// The name of a workload in the head of a table.
pub fn title(workload: Workload, fewer: usize) -> String {
    let sessions = grouped(workload.sessions() / fewer);
    match workload {
        Workload::Fanout => format!("broadcast to {sessions}"),
        Workload::Spread => format!("broadcast to {sessions}, unread"),
        Workload::Burst => format!("burst of 16 to {sessions}"),
        Workload::Push => format!("push to random keys of {sessions}"),
        Workload::Thread => format!("push to random keys of {sessions}, by a thread of its own"),
        Workload::Groups => format!("push to groups of 100, {sessions} sessions"),
        Workload::Echo => "echo".to_owned(),
        Workload::Echo16 => "echo, 16 in flight".to_owned(),
        Workload::Json => "JSON command and reply".to_owned(),
        Workload::Idle => "idle session".to_owned(),
        Workload::Connect => "connect + upgrade + close".to_owned(),
    }
}

/// The whole document.
pub fn page(results: &Results, verdicts: &[Verdict], plan: &Plan) -> String {
    let mut page = String::from("# Benchmarks\n\nWritten by `make bench`.\n\n");
    let parts = [
        machine(plan),
        costs(results),
        ratios(results),
        latencies(results),
        threads(results),
        groups(results),
        growth(results, plan),
        reached(verdicts),
        instructions(),
        accounts(results),
        method(results),
        plots(results, plan),
    ];
    page.push_str(&parts.join("\n"));
    page
}

fn machine(plan: &Plan) -> String {
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|it| it.1);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (rounds, seconds) = (plan.rounds, plan.seconds);
    let tools = [version("rustc"), version("node")].join(", node ");
    let short = if plan.fewer > 1 || rounds < 3 {
        " **A short run: it only shows that the benchmarks work.**"
    } else {
        ""
    };
    let (model, kernel, cores) = (model.unwrap_or("unknown processor"), kernel.trim(), cores());
    let rounds = format!("{rounds} round{}", if rounds == 1 { "" } else { "s" });
    format!(
        "{model}, {cores} cores, Linux {kernel}, {tools}. Medians of {rounds} of {seconds} s each.{short}\n"
    )
}

fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    output.map_or_else(|_| "-".into(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}

/// The table that `make count` checks.
fn instructions() -> String {
    let table = read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json")).unwrap_or_default();
    let table: BTreeMap<String, u64> = serde_json::from_str(&table).unwrap_or_default();
    let mut text = String::from(
        "## Instructions\n\nInstructions of keywire's bench server for each message, by callgrind: `make count` compares them with \
         `bench/instructions.json`, and fails if one has grown by over 3 %. callgrind has no SHA instructions, so a connection \
         takes about 2,800 more here than on most machines. A push includes about 1,600 for its text, which the server makes up.\n\n\
         | workload | instructions |\n|---|---|\n",
    );
    for (workload, count) in table {
        let _ = writeln!(text, "| {workload} | {} |", grouped(usize::try_from(count).unwrap_or(usize::MAX)));
    }
    text
}

fn costs(results: &Results) -> String {
    let text = "## Cost\n\nProcessor time of the server per message in µs, and in brackets the part in user space. For \
                an idle session: resident memory. Less is better.\n";
    let rows = table(results, "", |server, workload| match workload {
        Workload::Idle => results.memory(server, workload).map(|kib| format!("{} KiB", number(kib))),
        _ => {
            let (total, user) = (results.total(server, workload)?, results.user(server, workload)?);
            Some(format!("{} [{}]", number(total), number(user)))
        }
    });
    format!("{text}\n{rows}")
}

fn ratios(results: &Results) -> String {
    let rows = table(results, "keywire to", |server, workload| {
        if server == KEYWIRE || server == BEHIND_WARP || (workload == Workload::Idle && server == LIMIT) {
            return None;
        }
        Some(number(results.cost(KEYWIRE, workload)? / results.cost(server, workload)?))
    });
    format!(
        "## Cost relative to other servers\n\nkeywire's cost divided by that of the other server. Below 1: keywire costs less.\n\n{rows}"
    )
}

fn latencies(results: &Results) -> String {
    let text = "## Latency\n\nPercentiles in ms: p50 / p99 / p99.9.\n\n\
                - **Broadcast, burst, pushes:** time from the command to the arrival of a message, including all \
                messages before it.\n\
                - **Echoes, JSON:** time to the last reply of a batch. The server is always busy.\n";
    let rows = table(results, "", |server, workload| {
        let latency = results.latency(server, workload)?;
        let [p50, p99, p999] = [latency.p50, latency.p99, latency.p999].map(|micros| number(micros / 1000.0));
        Some(format!("{p50} / {p99} / {p999}"))
    });
    format!("{text}\n{rows}")
}

fn threads(results: &Results) -> String {
    let rate = |threads| results.rate(KEYWIRE, Workload::Spread, threads);
    let (Some(one), Some(two)) = (rate(1), rate(2)) else { return String::new() };
    let (one_rate, two_rate) = (grouped(one as usize), grouped(two as usize));
    let mut text = format!(
        "## Two threads\n\nBroadcast to all sessions, with two cores for the server, until the last message has arrived. \
         The clients read nothing before that. One thread: {one_rate} messages/s. Two threads: {two_rate} messages/s, \
         {} times as many.\n",
        number(two / one)
    );
    text.push_str(
        "\nIn the other workloads the load needs a core too, so the clock says little on two cores. The table has the processor \
         time of the server per message in µs. Two threads that did not hinder each other would need the same as one, and be \
         twice as fast.\n\n| workload | one thread | two threads | so two are faster by |\n|---|---|---|---|\n",
    );
    for workload in [Workload::Echo, Workload::Thread] {
        let total = |threads| results.total_with(KEYWIRE, workload, threads);
        if let (Some(one), Some(two)) = (total(1), total(2)) {
            let (title, factor) = (title(workload, results.fewer), number(2.0 * one / two));
            let _ = writeln!(text, "| {title} | {} | {} | {factor} |", number(one), number(two));
        }
    }
    text
}

fn groups(results: &Results) -> String {
    let cost = |of: fn(&Results, &str, Workload) -> Option<f64>| of(results, KEYWIRE, Workload::Groups);
    let costs = (cost(Results::total), cost(Results::user), cost(Results::memory));
    let (Some(total), Some(user), Some(memory)) = costs else { return String::new() };
    format!(
        "## Groups and presence\n\n{} sessions, each in ten groups of 100 members, with a record of who is online. Pushes to random \
         groups: {} µs [{}] for each member. Memory: {} KiB per session.\n",
        grouped(Workload::Groups.sessions() / results.fewer),
        number(total),
        number(user),
        number(memory)
    )
}

fn growth(results: &Results, plan: &Plan) -> String {
    if results.growth.is_empty() {
        return String::new();
    }
    format!(
        "## Growth\n\nProcessor time per message in µs, and in brackets the part in user space, by the number of sessions.\n\n\
         {}\n![processor time over the number of sessions]({}/{})\n",
        results.growth.table(),
        plan.document.file_stem().unwrap_or_default().to_string_lossy(),
        super::growth::FILE
    )
}

fn reached(verdicts: &[Verdict]) -> String {
    let mut text = String::from("## Targets\n\n| workload | measure | target | measured | |\n");
    text.push_str("|---|---|---|---|---|\n");
    for verdict in verdicts {
        let Verdict { workload, what, value, bound } = verdict;
        let value = value.map_or_else(|| "-".to_owned(), number);
        let (name, words) = (workload.name(), verdict.in_words());
        // A `String` takes everything.
        let _ = writeln!(text, "| {name} | {what} | {} | {value} | {words} |", bound.in_words());
    }
    text
}

fn accounts(results: &Results) -> String {
    let mut text = String::from(
        "## Message accounting\n\nMessages of all rounds and workloads, including keywire's runs with two threads. The last two \
         columns are the processor time of the load generator divided by that of the server.\n\n\
         | server | expected | lost | out of order | wrong | load in fan-out | load in echo |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|\n");
    for (server, label) in &results.servers {
        let messages = results.messages(server);
        let share = |workload| results.load_share(server, workload).map_or_else(|| "-".to_owned(), number);
        let (expected, lost) = (grouped(messages.expected as usize), messages.lost);
        let (out_of_order, wrong) = (messages.out_of_order, messages.wrong);
        let (fanout, echo) = (share(Workload::Fanout), share(Workload::Echo));
        let _ = writeln!(
            text,
            "| {label} | {expected} | {lost} | {out_of_order} | {wrong} | {fanout} | {echo} |"
        );
    }
    let failures: Vec<_> = results.failures().collect();
    if !failures.is_empty() {
        let _ = writeln!(text, "\nDid not finish: {}.", failures.join(", "));
    }
    text
}

fn method(results: &Results) -> String {
    let sessions = Workload::Echo.sessions() / results.fewer;
    format!(
        "## Method\n\n\
         - **keywire:** under `keywire::serve`; the second row is the same hub behind warp and keywire's adapter for it.\n\
         - **Cores:** each measurement starts a new server on one core. The load generator, one thread, runs on another. \
           The servers take turns within a workload.\n\
         - **Network:** loopback, so the kernel's part of a message includes its delivery.\n\
         - **Messages:** all servers send the same bytes, 128 per message and 64 for the echoes. {sessions} sessions send \
           the echoes.\n\
         - **Runtime:** tokio with one worker for the Rust servers. The limit has no runtime: one thread, epoll, one \
           `write` for each delivery (one for each session and burst).\n\
         - **Yielding:** a server that sends many messages yields after every {PAUSE_EVERY}, as a backend does at its \
           awaits. Nothing else in such a loop yields.\n\
         - **Queues:** keywire's and tokio-tungstenite's queues hold 65,536 messages per session (keywire's: 64 MiB), so no \
           client is too slow. keywire's rate limit for messages is off.\n\
         - **Sources:** processor time is `utime` and `stime` of `/proc/PID/stat`, memory is `VmRSS`, with the system's \
           allocator.\n\
         - **Connections:** opened, upgraded and closed 16 at a time.\n"
    )
}

fn plots(results: &Results, plan: &Plan) -> String {
    let directory = plan.document.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = String::from("## Plots\n\n");
    for workload in results.workloads() {
        let (title, file) = (title(workload, results.fewer), plot::file_name(workload));
        let _ = writeln!(text, "![{title}]({directory}/{file})\n");
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// A row for each server, a column for each workload with results.
fn table(results: &Results, corner: &str, cell: impl Fn(&str, Workload) -> Option<String>) -> String {
    let any =
        |workload: &Workload| results.servers.iter().any(|(server, _)| cell(server, *workload).is_some());
    let columns: Vec<_> = results.workloads().filter(any).collect();
    let titles: Vec<_> = columns.iter().map(|workload| title(*workload, results.fewer)).collect();
    let mut text = format!("| {corner} | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(columns.len()));
    for (server, label) in &results.servers {
        let cells: Vec<_> = columns.iter().map(|workload| cell(server, *workload)).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<_> = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".into())).collect();
            let _ = writeln!(text, "| {label} | {} |", cells.join(" | "));
        }
    }
    text
}

/// A number with the digits that matter.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(0.456), "0.46");
        assert_eq!(number(45.67), "45.7");
        assert_eq!(number(456.7), "457");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(50), "50");
    }
}
