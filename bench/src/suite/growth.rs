//! How the cost of a message grows with the number of sessions: keywire beside the limit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markdown::{grouped, number};
use super::plot::STYLE;
use super::results::median;
use super::servers::{KEYWIRE, LIMIT};
use crate::load::Report;
use crate::load::workload::Workload;

/// The numbers of sessions.
pub const SESSIONS: [usize; 4] = [10, 1_000, 10_000, 19_000];

/// The workloads, and what they are called.
pub const WORKLOADS: [(Workload, &str); 2] =
    [(Workload::Fanout, "broadcast"), (Workload::Push, "push to random keys")];

/// The plot's file.
pub const FILE: &str = "growth.svg";

/// The measurements.
#[derive(Default)]
pub struct Growth(BTreeMap<(&'static str, Workload, usize), Vec<Report>>);

impl Growth {
    pub fn add(&mut self, server: &'static str, workload: Workload, sessions: usize, report: Report) {
        self.0.entry((server, workload, sessions)).or_default().push(report);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn curve(&self, server: &str, of: Workload) -> Curve {
        let cells = self.0.iter().filter(|((name, workload, _), _)| (*name, *workload) == (server, of));
        let cost = |reports: &[Report], part: fn(&Report) -> f64| median(reports.iter().map(part).collect());
        cells
            .filter_map(|((.., sessions), reports)| {
                let total = cost(reports, |report| report.per_message.total())?;
                Some((*sessions, total, cost(reports, |report| report.per_message.user)?))
            })
            .collect()
    }

    /// A table for the document.
    pub fn table(&self) -> String {
        let mut text = String::from("| workload | server |");
        let columns = self.curve(KEYWIRE, WORKLOADS[0].0);
        columns.iter().for_each(|(sessions, ..)| _ = write!(text, " {} |", grouped(*sessions)));
        text.push_str("\n|---|---|");
        text.push_str(&"---|".repeat(columns.len()));
        text.push('\n');
        for (workload, title) in WORKLOADS {
            for server in [LIMIT, KEYWIRE] {
                let _ = write!(text, "| {title} | {server} |");
                for (_, total, user) in self.curve(server, workload) {
                    let _ = write!(text, " {} [{}] |", number(total), number(user));
                }
                text.push('\n');
            }
        }
        text
    }

    /// Two charts: µs of processor time over the number of sessions.
    pub fn plot(&self) -> String {
        let (width, height) = (PANEL * WORKLOADS.len() as f64, TOP + DEEP + 44.0);
        let mut svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="processor time over the number of sessions">
<style>{STYLE}polyline{{fill:none;stroke-width:2}}.keywire polyline{{stroke:#1769aa}}.limit polyline{{stroke:#8b98a5}}.keywire circle{{fill:#1769aa}}.limit circle{{fill:#8b98a5}}.axis{{stroke:#8b98a5;stroke-width:1}}@media (prefers-color-scheme:dark){{.keywire polyline{{stroke:#79c0ff}}.keywire circle{{fill:#79c0ff}}}}</style>
"#
        );
        for (place, (workload, title)) in WORKLOADS.into_iter().enumerate() {
            self.panel(&mut svg, PANEL * place as f64, workload, title);
        }
        svg.push_str("</svg>\n");
        svg
    }

    // A `String` takes everything.
    fn panel(&self, svg: &mut String, left: f64, workload: Workload, title: &str) {
        let curves = [LIMIT, KEYWIRE].map(|server| (server, self.curve(server, workload)));
        let points = || curves.iter().flat_map(|(_, curve)| curve);
        let most = points().map(|(_, total, _)| *total).fold(f64::MIN_POSITIVE, f64::max);
        let steps = (curves[1].1.len().max(2) - 1) as f64;
        let x = |place: usize| left + MARGIN + place as f64 / steps * (PANEL - 2.0 * MARGIN);
        let y = |cost: f64| TOP + DEEP - cost / most * DEEP;
        let _ = writeln!(svg, r#"<text class="title" x="{}" y="22">{title}</text>"#, left + 8.0);
        let _ = writeln!(
            svg,
            r#"<text class="note" x="{}" y="42">µs of processor time for one message, by the number of sessions</text>"#,
            left + 8.0
        );
        let (base, start, end) = (TOP + DEEP, left + MARGIN, left + PANEL - MARGIN);
        let _ = writeln!(svg, r#"<line class="axis" x1="{start}" y1="{base}" x2="{end}" y2="{base}"/>"#);
        for (server, curve) in &curves {
            let line = curve.iter().enumerate();
            let line = line.map(|(place, (_, total, _))| format!("{:.1},{:.1}", x(place), y(*total)));
            let line = line.collect::<Vec<_>>().join(" ");
            let _ = writeln!(svg, r#"<g class="{server}"><polyline points="{line}"/>"#);
            for (place, (_, total, _)) in curve.iter().enumerate() {
                let (x, y) = (x(place), y(*total));
                let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3"/>"#);
                // The larger number stands above its point, the smaller one below.
                let is_larger = points_at(&curves, place).all(|other| other <= *total);
                let beside = if is_larger { y - 9.0 } else { y + 18.0 };
                let _ = writeln!(
                    svg,
                    r#"<text x="{x:.1}" y="{beside:.1}" text-anchor="middle">{}</text>"#,
                    number(*total)
                );
            }
            if let Some((_, total, _)) = curve.last() {
                let (x, y) = (x(curve.len() - 1) + 20.0, y(*total) + 4.0);
                let _ = writeln!(svg, r#"<text class="note" x="{x:.1}" y="{y:.1}">{server}</text>"#);
            }
            svg.push_str("</g>\n");
        }
        for (place, (sessions, ..)) in curves[1].1.iter().enumerate() {
            let (x, label) = (x(place), grouped(*sessions));
            let y = base + 20.0;
            let _ =
                writeln!(svg, r#"<text class="note" x="{x:.1}" y="{y}" text-anchor="middle">{label}</text>"#);
        }
    }
}

/// For each number of sessions: µs of processor time per message, all of it and in user space.
type Curve = Vec<(usize, f64, f64)>;

/// What all servers need at one number of sessions.
fn points_at<'a>(curves: &'a [(&'static str, Curve)], place: usize) -> impl Iterator<Item = f64> + 'a {
    curves.iter().filter_map(move |(_, curve)| curve.get(place)).map(|(_, total, _)| *total)
}

const PANEL: f64 = 480.0;
const MARGIN: f64 = 76.0;
const TOP: f64 = 76.0;
const DEEP: f64 = 180.0;
