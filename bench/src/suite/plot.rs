//! Bar charts as SVG, readable on light and dark pages.

use std::fmt::Write as _;

use super::markdown::{number, title};
use super::results::Results;
use super::servers::{KEYWIRE, LIMIT};
use crate::load::workload::Workload;

const WIDTH: f64 = 760.0;
/// Left end of the bars.
const LEFT: f64 = 250.0;
/// Length of the longest bar, without the number after it.
const ROOM: f64 = 410.0;
const TOP: f64 = 56.0;
const ROW: f64 = 30.0;
const BAR: f64 = 18.0;

pub const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#24292f}\
.title{font-weight:600;font-size:15px}.note{fill:#57606a}.own{font-weight:600}\
.bar{fill:#a8b3bf}.user{fill:#6b7785}.keywire .bar{fill:#4aa3df}.keywire .user{fill:#1769aa}\
.limit .bar{fill:#c9d1d9}.limit .user{fill:#8b98a5}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}\
.bar{fill:#59636e}.user{fill:#8b98a5}.keywire .bar{fill:#1f6feb}.keywire .user{fill:#79c0ff}\
.limit .bar{fill:#3d444d}.limit .user{fill:#656c76}}";

pub fn file_name(workload: Workload) -> String {
    format!("{}.svg", workload.name())
}

/// A bar for each server: the processor time per message, with the part in user space darker, or the memory of
/// a session.
pub fn bars(results: &Results, workload: Workload) -> String {
    let servers = results.servers.iter();
    let rows: Vec<_> =
        servers.filter_map(|(name, label)| Some((*name, *label, results.cost(name, workload)?))).collect();
    let most = rows.iter().map(|(_, _, cost)| *cost).fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + ROW * rows.len() as f64 + 8.0;
    let (unit, note) = match workload {
        Workload::Idle => ("KiB", "resident memory of a session"),
        _ => ("µs", "processor time for one message; dark: in user space"),
    };
    let title = title(workload, results.fewer);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}">
<style>{STYLE}</style>
<text class="title" x="8" y="22">{title}</text>
<text class="note" x="8" y="42">{note}; less is better</text>
"#
    );
    for (row, (name, label, cost)) in rows.into_iter().enumerate() {
        let user = match workload {
            Workload::Idle => 0.0,
            _ => results.user(name, workload).unwrap_or_default(),
        };
        let top = TOP + ROW * row as f64;
        let class = if name == KEYWIRE || name == LIMIT { name } else { "peer" };
        bar(&mut svg, class, label, top, [cost, user].map(|value| value / most * ROOM));
        let (x, y) = (LEFT + cost / most * ROOM + 8.0, top + 14.0);
        // A `String` takes everything.
        let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y}">{} {unit}</text>"#, number(cost));
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, class: &str, label: &str, top: f64, [whole, part]: [f64; 2]) {
    let own = if class == KEYWIRE { r#" class="own""# } else { "" };
    // The labels are Markdown.
    let label = label.replace(['*', '`'], "");
    let (x, y) = (LEFT - 10.0, top + 14.0);
    let _ = writeln!(svg, r#"<text{own} x="{x}" y="{y}" text-anchor="end">{label}</text>"#);
    let _ = writeln!(
        svg,
        r#"<g class="{class}"><rect class="bar" x="{LEFT}" y="{top}" width="{whole:.1}" height="{BAR}" rx="2"/><rect class="user" x="{LEFT}" y="{top}" width="{part:.1}" height="{BAR}" rx="2"/></g>"#
    );
}
