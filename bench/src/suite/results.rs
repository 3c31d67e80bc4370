//! The reports of all rounds, and their medians.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::WORKLOADS;
use super::growth::Growth;
use super::servers::Server;
use crate::load::workload::Workload;
use crate::load::{Latency, Messages, Report};

/// All measurements.
pub struct Results {
    /// Names and labels, in the order of the tables.
    pub servers: Vec<(&'static str, &'static str)>,
    /// Divisor for the number of sessions.
    pub fewer: usize,
    pub growth: Growth,
    reports: BTreeMap<(&'static str, Workload, usize), Vec<Report>>,
    failed: Vec<(&'static str, Workload)>,
}

impl Results {
    pub fn new(servers: &[Server], fewer: usize) -> Self {
        let servers = servers.iter().map(|server| (server.name, server.label)).collect();
        Self { servers, fewer, growth: Growth::default(), reports: BTreeMap::new(), failed: Vec::new() }
    }

    pub fn add(&mut self, server: &'static str, workload: Workload, threads: usize, report: Report) {
        self.reports.entry((server, workload, threads)).or_default().push(report);
    }

    pub fn fail(&mut self, server: &'static str, workload: Workload) {
        self.failed.push((server, workload));
    }

    /// Measurements that did not finish.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|(server, workload)| format!("{server}: {}", workload.name()))
    }

    /// The workloads with results.
    pub fn workloads(&self) -> impl Iterator<Item = Workload> {
        WORKLOADS.into_iter().filter(|workload| self.reports.keys().any(|(_, other, _)| other == workload))
    }

    /// Processor time per message in µs, the median of all rounds.
    pub fn total(&self, server: &str, workload: Workload) -> Option<f64> {
        self.total_with(server, workload, 1)
    }

    /// The same with this many threads.
    pub fn total_with(&self, server: &str, workload: Workload, threads: usize) -> Option<f64> {
        // A time below the resolution of the clock is not zero.
        self.median(server, workload, threads, |report| {
            Some(report.per_message.total()).filter(|total| *total > 0.0)
        })
    }

    /// The part of it in user space.
    pub fn user(&self, server: &str, workload: Workload) -> Option<f64> {
        self.median(server, workload, 1, |report| Some(report.per_message.user))
    }

    /// The resident memory of a session in KiB.
    pub fn memory(&self, server: &str, workload: Workload) -> Option<f64> {
        self.median(server, workload, 1, |report| {
            report.memory.map(|memory| memory.per_session).filter(|memory| *memory > 0.0)
        })
    }

    /// The value that tables and plots compare: the processor time per message, or the memory of a session.
    pub fn cost(&self, server: &str, workload: Workload) -> Option<f64> {
        match workload {
            Workload::Idle => self.memory(server, workload),
            _ => self.total(server, workload),
        }
    }

    /// Messages per second of wall time.
    pub fn rate(&self, server: &str, workload: Workload, threads: usize) -> Option<f64> {
        self.median(server, workload, threads, |report| Some(report.messages.received as f64 / report.wall))
    }

    pub fn latency(&self, server: &str, workload: Workload) -> Option<Latency> {
        let percentile =
            |of: fn(Latency) -> f64| self.median(server, workload, 1, |report| report.latency.map(of));
        Some(Latency {
            p50: percentile(|latency| latency.p50)?,
            p99: percentile(|latency| latency.p99)?,
            p999: percentile(|latency| latency.p999)?,
        })
    }

    /// Processor time of the load generator divided by that of the server.
    pub fn load_share(&self, server: &str, workload: Workload) -> Option<f64> {
        self.median(server, workload, 1, |report| Some(report.load.total() / report.server.total()))
    }

    /// The account of messages, all rounds together.
    pub fn messages(&self, server: &str) -> Messages {
        let reports = self.reports.iter().filter(|((name, ..), _)| *name == server);
        reports.flat_map(|(_, reports)| reports).fold(Messages::default(), |sum, report| Messages {
            expected: sum.expected + report.messages.expected,
            received: sum.received + report.messages.received,
            lost: sum.lost + report.messages.lost,
            out_of_order: sum.out_of_order + report.messages.out_of_order,
            wrong: sum.wrong + report.messages.wrong,
        })
    }

    /// All reports, round by round.
    pub fn raw(&self) -> Value {
        let cells = self.reports.iter().map(|((server, _, threads), reports)| {
            json!({ "server": server, "threads": threads, "reports": reports })
        });
        Value::Array(cells.collect())
    }

    fn median(
        &self,
        server: &str,
        workload: Workload,
        threads: usize,
        of: impl Fn(&Report) -> Option<f64>,
    ) -> Option<f64> {
        let mut keys = self.reports.keys();
        let key = keys.find(|(name, other, count)| (*name, *other, *count) == (server, workload, threads))?;
        median(self.reports[key].iter().filter_map(of).collect())
    }
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// A measurement in one line.
pub fn progress(server: &Server, threads: usize, report: &Report) -> String {
    let Report { workload, messages, per_message, wall, load, server: used, .. } = report;
    let threads = if threads > 1 { format!(" x{threads}") } else { String::new() };
    let name = format!("{}{threads}", server.name);
    let cost = match report.memory {
        Some(memory) => format!("{:8.2} KiB per session", memory.per_session),
        None => format!("{:8.2} µs [{:.2}]", per_message.total(), per_message.user),
    };
    let cpu = format!("server {:.2} s, load {:.2} s in {wall:.2} s", used.total(), load.total());
    let verdict = if messages.are_right() { "all there".to_owned() } else { format!("{messages:?}") };
    format!("{name:13} {workload:8} {cost}  {} messages, {cpu}; {verdict}", messages.received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
