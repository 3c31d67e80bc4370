//! Targets for keywire, and whether they are reached.

use super::results::Results;
use super::servers::{BEHIND_WARP, KEYWIRE, LIMIT};
use crate::load::workload::Workload::{self, Burst, Connect, Echo, Echo16, Fanout, Idle, Json, Push, Spread};

/// A target and its measurement.
pub struct Verdict {
    pub workload: Workload,
    pub what: String,
    /// `None`: not measured.
    pub value: Option<f64>,
    pub bound: Bound,
}

#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Verdict {
    /// "reached", or the distance to the target.
    pub fn in_words(&self) -> String {
        let Some(value) = self.value else { return "not measured".to_owned() };
        let (reached, bound) = match self.bound {
            Bound::AtMost(bound) => (value <= bound, bound),
            Bound::AtLeast(bound) => (value >= bound, bound),
        };
        if reached {
            return "reached".to_owned();
        }
        format!("missed by {:+.0} %", (value / bound - 1.0) * 100.0)
    }
}

impl Bound {
    pub fn in_words(self) -> String {
        match self {
            Self::AtMost(bound) => format!("≤ {bound}"),
            Self::AtLeast(bound) => format!("≥ {bound}"),
        }
    }
}

/// Processor time per message, divided by that of the limit.
const TO_LIMIT: [(Workload, f64); 6] =
    [(Fanout, 1.1), (Burst, 1.25), (Push, 1.05), (Echo, 1.08), (Echo16, 1.12), (Connect, 1.2)];

/// Processor time per message in user space, in µs.
const USER: [(Workload, f64); 6] =
    [(Fanout, 0.6), (Burst, 0.08), (Push, 1.1), (Echo, 0.55), (Echo16, 0.07), (Connect, 10.0)];

/// Processor time per message, divided by that of other servers.
const TO_OTHERS: [(Workload, &[&str], f64); 8] = [
    (Fanout, &["warp", "axum", "tungstenite"], 0.75),
    (Fanout, &["socketioxide"], 0.45),
    (Burst, &["warp"], 0.35),
    (Burst, &["axum", "tungstenite", "socketioxide"], 1.0),
    (Push, &["warp"], 0.7),
    (Echo, &["warp"], 0.65),
    (Echo16, &["warp"], 0.25),
    (Connect, &["warp"], 0.7),
];

/// Processor time in user space that a JSON command may take beyond an echo, in µs.
const JSON_OVER_ECHO: f64 = 1.5;
/// Resident memory of an idle session: in KiB, and divided by that of warp's chat example.
const SESSION: f64 = 1.1;
const SESSION_TO_WARP: f64 = 0.01;
/// How much faster two threads are than one, at least: a broadcast by the clock, echoes by processor time.
const TWO_THREADS: [(Workload, f64); 2] = [(Spread, 1.7), (Echo, 1.6)];

/// All targets.
pub fn all(results: &Results) -> Vec<Verdict> {
    let at_most = |workload, what: &str, value, bound| Verdict {
        workload,
        what: what.to_owned(),
        value,
        bound: Bound::AtMost(bound),
    };
    let ratio = |workload, other| Some(results.cost(KEYWIRE, workload)? / results.cost(other, workload)?);

    let mut verdicts = Vec::new();
    for (workload, bound) in TO_LIMIT {
        verdicts.push(at_most(workload, "ratio to the limit", ratio(workload, LIMIT), bound));
    }
    for (workload, bound) in USER {
        verdicts.push(at_most(workload, "µs in user space", results.user(KEYWIRE, workload), bound));
    }
    for (workload, others, bound) in TO_OTHERS {
        for other in others {
            verdicts.push(at_most(workload, &format!("ratio to {other}"), ratio(workload, other), bound));
        }
    }
    let over = || Some(results.user(KEYWIRE, Json)? - results.user(KEYWIRE, Echo)?);
    verdicts.push(at_most(Json, "µs in user space above the echo", over(), JSON_OVER_ECHO));
    verdicts.push(at_most(Idle, "KiB per session", results.memory(KEYWIRE, Idle), SESSION));
    let behind_warp = results.memory(BEHIND_WARP, Idle);
    verdicts.push(at_most(Idle, "KiB per session behind warp", behind_warp, SESSION));
    verdicts.push(at_most(Idle, "ratio to warp", ratio(Idle, "warp"), SESSION_TO_WARP));
    for (workload, bound) in TWO_THREADS {
        let faster = || match workload {
            Spread => Some(results.rate(KEYWIRE, Spread, 2)? / results.rate(KEYWIRE, Spread, 1)?),
            _ => Some(2.0 * results.total(KEYWIRE, workload)? / results.total_with(KEYWIRE, workload, 2)?),
        };
        verdicts.push(Verdict {
            workload,
            what: "ratio of two threads to one".to_owned(),
            value: faster(),
            bound: Bound::AtLeast(bound),
        });
    }
    verdicts.sort_by_key(|verdict| verdict.workload);
    verdicts
}
