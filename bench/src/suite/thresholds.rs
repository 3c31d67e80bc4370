//! What keywire is meant to reach, and whether it does.

use super::results::Results;
use super::servers::{KEYWIRE, LIMIT};
use crate::load::workload::Workload::{self, Burst, Connect, Echo, Echo16, Fanout, Idle, Json, Push, Spread};

/// One thing that is meant to be reached.
pub struct Verdict {
    pub workload: Workload,
    pub what: String,
    /// Nothing if it was not measured.
    pub value: Option<f64>,
    pub bound: Bound,
}

#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Verdict {
    /// "reached", or by how much not.
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

/// The processor time of a message by that of the limit.
const TO_LIMIT: [(Workload, f64); 6] =
    [(Fanout, 1.15), (Burst, 1.5), (Push, 1.1), (Echo, 1.15), (Echo16, 1.2), (Connect, 1.25)];

/// The part of it in user space, in µs.
const USER: [(Workload, f64); 6] =
    [(Fanout, 0.8), (Burst, 0.15), (Push, 1.3), (Echo, 0.7), (Echo16, 0.12), (Connect, 14.0)];

/// The processor time of a message by that of others.
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

/// How much more user space a JSON command may take than an echo, in µs.
const JSON_OVER_ECHO: f64 = 1.5;
/// The resident memory of an idle session, in KiB, and by that of warp's chat example.
const SESSION: f64 = 1.3;
const SESSION_TO_WARP: f64 = 0.01;
/// How much faster two threads broadcast than one.
const TWO_THREADS: f64 = 1.6;

/// All of them.
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
    verdicts.push(at_most(Idle, "KiB per session", results.memory(KEYWIRE), SESSION));
    verdicts.push(at_most(Idle, "ratio to warp", ratio(Idle, "warp"), SESSION_TO_WARP));
    let faster = || Some(results.rate(KEYWIRE, Spread, 2)? / results.rate(KEYWIRE, Spread, 1)?);
    verdicts.push(Verdict {
        workload: Spread,
        what: "ratio of two threads to one".to_owned(),
        value: faster(),
        bound: Bound::AtLeast(TWO_THREADS),
    });
    verdicts.sort_by_key(|verdict| verdict.workload);
    verdicts
}
