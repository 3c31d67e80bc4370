//! The suite: measures all servers in turn, in several rounds.

mod build;
mod growth;
mod markdown;
mod plot;
mod process;
mod results;
mod servers;
mod thresholds;

use std::io;
use std::path::{Path, PathBuf};

use crate::load::Report;
use crate::load::workload::Workload;
use process::Cores;
use results::Results;
use servers::Server;

/// How to run the suite.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The root of the repository.
    pub root: PathBuf,
    pub rounds: usize,
    /// Duration of each measurement.
    pub seconds: f64,
    /// Divisor for the number of sessions.
    pub fewer: usize,
    /// Servers to measure. Empty: all.
    pub only: Vec<String>,
    /// Workloads to measure. Empty: all.
    pub workloads: Vec<Workload>,
    /// Path of the document. The plots go into a directory of the same name next to it.
    pub document: PathBuf,
}

/// The workloads of every server.
const WORKLOADS: [Workload; 8] = [
    Workload::Fanout,
    Workload::Burst,
    Workload::Push,
    Workload::Echo,
    Workload::Echo16,
    Workload::Json,
    Workload::Idle,
    Workload::Connect,
];

/// Workloads of keywire on two cores, and the number of threads. The burst checks the order.
const SHARED: [(Workload, usize); 6] = [
    (Workload::Spread, 1),
    (Workload::Spread, 2),
    (Workload::Burst, 2),
    (Workload::Echo, 2),
    (Workload::Thread, 1),
    (Workload::Thread, 2),
];

impl Plan {
    /// Builds, measures, prints and writes.
    ///
    /// # Errors
    ///
    /// If something cannot be built or written. A server that fails leaves an empty cell in the table.
    pub fn run(&self) -> io::Result<()> {
        let servers = build::all(&self.root, |server| self.wants(server))?;
        let mut results = Results::new(&servers, self.fewer);
        for round in 1..=self.rounds {
            eprintln!("== round {round} of {}", self.rounds);
            self.round(&servers, &mut results);
        }
        let verdicts = thresholds::all(&results);
        let page = markdown::page(&results, &verdicts, self);
        println!("{page}");
        self.write(&page, &results)
    }

    fn wants(&self, server: &Server) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == server.name)
    }

    fn wants_workload(&self, workload: Workload) -> bool {
        self.workloads.is_empty() || self.workloads.contains(&workload)
    }

    /// The servers take turns within a workload, so that a slow period of the machine affects all of them.
    fn round(&self, servers: &[Server], results: &mut Results) {
        for workload in WORKLOADS.into_iter().filter(|it| self.wants_workload(*it)) {
            for server in servers {
                self.measure(server, workload, 1, Cores::Apart, results);
            }
        }
        for server in servers.iter().filter(|server| server.is_keywire()) {
            for (workload, threads) in SHARED.into_iter().filter(|(it, _)| self.wants_workload(*it)) {
                self.measure(server, workload, threads, Cores::Shared, results);
            }
            if self.wants_workload(Workload::Groups) {
                self.measure(&server.with("--presence"), Workload::Groups, 1, Cores::Apart, results);
            }
        }
        for (workload, _) in growth::WORKLOADS.into_iter().filter(|(it, _)| self.wants_workload(*it)) {
            for sessions in growth::SESSIONS.map(|sessions| (sessions / self.fewer).max(10)) {
                for server in servers.iter().filter(|server| server.is_keywire() || server.is_limit()) {
                    if let Some(report) = self.report(server, workload, 1, Cores::Apart, sessions, results) {
                        results.growth.add(server.name, workload, sessions, report);
                    }
                }
            }
        }
    }

    fn measure(
        &self,
        server: &Server,
        workload: Workload,
        threads: usize,
        cores: Cores,
        results: &mut Results,
    ) {
        let sessions = (workload.sessions() / self.fewer).max(10);
        if let Some(report) = self.report(server, workload, threads, cores, sessions, results) {
            results.add(server.name, workload, threads, report);
        }
    }

    fn report(
        &self,
        server: &Server,
        workload: Workload,
        threads: usize,
        cores: Cores,
        sessions: usize,
        results: &mut Results,
    ) -> Option<Report> {
        match process::measure(&self.root, server, workload, threads, cores, sessions, self.seconds) {
            Ok(report) => {
                eprintln!("{}", results::progress(server, threads, &report));
                Some(report)
            }
            Err(error) => {
                eprintln!("{:12} {:8} FAILED: {error}", server.name, workload.name());
                results.fail(server.name, workload);
                None
            }
        }
    }

    fn write(&self, page: &str, results: &Results) -> io::Result<()> {
        let plots = self.document.with_extension("");
        std::fs::create_dir_all(&plots)?;
        std::fs::write(&self.document, page)?;
        if !results.growth.is_empty() {
            std::fs::write(plots.join(growth::FILE), results.growth.plot())?;
        }
        for workload in results.workloads() {
            let file = plots.join(plot::file_name(workload));
            std::fs::write(file, plot::bars(results, workload))?;
        }
        let raw = self.root.join("target/bench-results.json");
        std::fs::write(&raw, serde_json::to_vec_pretty(&results.raw())?)?;
        eprintln!("wrote {}, {}/*.svg and {}", shown(&self.document), shown(&plots), shown(&raw));
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
