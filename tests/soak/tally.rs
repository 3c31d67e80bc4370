//! What is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywire::store::Counts;

#[derive(Default)]
pub(crate) struct Tally {
    opened: AtomicU64,
    checked: AtomicU64,
    sent: AtomicU64,
    kept: AtomicU64,
    /// By what they are.
    faults: Mutex<BTreeMap<&'static str, u64>>,
    /// By close code.
    closed: Mutex<BTreeMap<u16, u64>>,
}

impl Tally {
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, code: u16) {
        *self.closed.lock().expect("no panic").entry(code).or_default() += 1;
    }

    /// So many messages arrived as they should.
    pub(crate) fn checked(&self, messages: u64) {
        self.checked.fetch_add(messages, Ordering::Relaxed);
    }

    /// So many pushes were kept.
    pub(crate) fn sent(&self, pushes: u64) {
        self.sent.fetch_add(pushes, Ordering::Relaxed);
    }

    /// So many kept pushes were seen by a page, in order.
    pub(crate) fn kept(&self, pushes: u64) {
        self.kept.fetch_add(pushes, Ordering::Relaxed);
    }

    pub(crate) fn fault(&self, name: &'static str) {
        *self.faults.lock().expect("no panic").entry(name).or_default() += 1;
    }

    fn faults(&self) -> u64 {
        self.faults.lock().expect("no panic").values().sum()
    }

    pub(crate) fn progress(&self, time: Duration, counts: Counts) -> String {
        format!(
            "{:>4} s: {} sessions opened, {} live, {} faults, {} messages checked, {} kept pushes, {} MiB",
            time.as_secs(),
            self.opened.load(Ordering::Relaxed),
            counts.sessions,
            self.faults(),
            self.checked.load(Ordering::Relaxed),
            self.kept.load(Ordering::Relaxed),
            memory() >> 20,
        )
    }

    /// What was seen. That nothing was lost is no counter: a message that is missing ends the run.
    pub(crate) fn figures(&self, time: Duration, leaked: usize, drift: Option<i64>) -> String {
        let mut text = format!("after {} s:\n", time.as_secs());
        let _ = writeln!(text, "  sessions opened   {}", self.opened.load(Ordering::Relaxed));
        let _ = writeln!(text, "  faults injected   {}", self.faults());
        for (fault, count) in &*self.faults.lock().expect("no panic") {
            let _ = writeln!(text, "    {count:>8} {fault}");
        }
        let _ = writeln!(text, "  ends by code      {:?}", self.closed.lock().expect("no panic"));
        let _ = writeln!(text, "  messages checked  {}", self.checked.load(Ordering::Relaxed));
        let _ = writeln!(text, "  messages lost     0");
        let _ = writeln!(text, "  pushes kept       {}", self.sent.load(Ordering::Relaxed));
        let _ = writeln!(text, "    seen by pages   {}", self.kept.load(Ordering::Relaxed));
        let _ = writeln!(text, "    lost, twice, out of order, gaps told: 0");
        let _ = writeln!(text, "  leaked files      {leaked}");
        let drift = drift.map_or("not measured".to_owned(), |drift| format!("{:+} KiB", drift >> 10));
        let _ = writeln!(text, "  memory drift      {drift}");
        text
    }

    /// Each session that was opened was closed, once.
    pub(crate) fn assert_balanced(&self) {
        let closed: u64 = self.closed.lock().expect("no panic").values().sum();
        assert_eq!(self.opened.load(Ordering::Relaxed), closed, "opened and closed");
    }
}

pub(crate) fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux's /proc").count()
}

/// What this process occupies, in bytes: server and clients.
pub(crate) fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux's /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}
