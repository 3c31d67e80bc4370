//! The guide lists what there is, and nothing else.
#![cfg(feature = "metrics")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use keywire::Hub;
use keywire::auth::RawKey;
use keywire::metrics::{METRICS, MetricKind};
use metrics::Unit;
use metrics_util::MetricKind as Registered;
use metrics_util::debugging::DebuggingRecorder;

const GUIDE: &str = include_str!("../docs/observability.md");

/// The cells of the guide's rows that begin like this.
fn rows(beginning: &str) -> Vec<Vec<&'static str>> {
    let rows = GUIDE.lines().filter(|line| line.starts_with(beginning));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The words in back quotes.
fn words(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_number_stands_in_the_guide_as_it_is_registered() {
    let recorder = DebuggingRecorder::new();
    let _hub = metrics::with_local_recorder(&recorder, || Hub::builder(RawKey::from_path()).build());
    let registered = recorder.snapshotter().snapshot().into_vec();

    let mut rows = rows("| `keywire_").into_iter();
    for metric in METRICS {
        let row = rows.next().expect("as many rows as metrics");
        let kind = match metric.kind {
            MetricKind::Counter => (Registered::Counter, "counter"),
            MetricKind::Gauge => (Registered::Gauge, "gauge"),
            MetricKind::Histogram => (Registered::Histogram, "histogram"),
            _ => panic!("a kind that this test does not know"),
        };
        let series: Vec<_> = registered.iter().filter(|(key, ..)| key.key().name() == metric.name).collect();
        assert!(!series.is_empty(), "{} is not registered", metric.name);
        for (key, unit, about, _) in &series {
            assert_eq!(key.kind(), kind.0, "{}", metric.name);
            assert_eq!(about.as_deref(), Some(metric.about));
            let labels: Vec<_> = key.key().labels().map(|label| label.key()).collect();
            assert_eq!(labels, metric.labels, "{}", metric.name);
            let unit = match unit {
                Some(Unit::Seconds) => "seconds",
                Some(Unit::Bytes) => "bytes",
                Some(Unit::Count) => "",
                None => "ratio",
                unit => panic!("{}: {unit:?}", metric.name),
            };
            assert_eq!(row[..3], [&format!("`{}`", metric.name), kind.1, unit]);
        }
        assert_eq!(words(row[3]), metric.labels.iter().copied().collect(), "{}", metric.name);
        assert_eq!(row[4], metric.about, "{}", metric.name);
        assert!(metric.buckets.is_sorted());
        assert_eq!(metric.buckets.is_empty(), metric.kind != MetricKind::Histogram, "{}", metric.name);
    }
    assert_eq!(rows.next(), None, "a row too many");
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert!(
        registered.iter().all(|(key, ..)| names.contains(key.key().name())),
        "a metric that is not listed"
    );
}

#[test]
fn each_value_of_a_label_stands_in_the_guide() {
    let recorder = DebuggingRecorder::new();
    let _hub = metrics::with_local_recorder(&recorder, || Hub::builder(RawKey::from_path()).build());
    let mut registered = BTreeMap::<_, BTreeSet<_>>::new();
    for (key, ..) in recorder.snapshotter().snapshot().into_vec() {
        // Which codes there are depends on who ends the session.
        let (key, mut whose) = (key.key().clone(), String::new());
        for label in key.labels() {
            let of = format!("`{}` of `{}`{whose}", label.key(), key.name());
            registered.entry(of).or_default().insert(label.value().to_owned());
            whose = format!(" by `{}`", label.value());
        }
    }
    let listed: BTreeMap<_, BTreeSet<_>> = ["by", "code", "direction", "kind", "outcome", "route", "status"]
        .iter()
        .flat_map(|label| rows(&format!("| `{label}` of")))
        .map(|row| (row[0].to_owned(), words(row[1]).into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(registered, listed);
}

#[test]
fn queries_ask_for_what_there_is() {
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    for (at, _) in GUIDE.match_indices("keywire_") {
        let name: String = GUIDE[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
        assert!(names.contains(&*name) || base.is_some_and(|base| names.contains(base)), "{name}");
    }
}

/// The messages that the sources log at this level.
fn logged(level: &str) -> BTreeSet<String> {
    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries =
            std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }
    let mut messages = BTreeSet::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let source = std::fs::read_to_string(&file).expect("text");
        for call in source.split(&format!("tracing::{level}!(")).skip(1) {
            let arguments = call.split_once(");").expect("an end").0;
            let message = arguments.trim_end().trim_end_matches(',').rsplit('"').nth(1);
            messages.insert(message.unwrap_or_else(|| panic!("no message in {}", file.display())).to_owned());
        }
    }
    messages
}

/// At this level and above a server logs by default, so all of it is explained.
#[test]
fn each_line_of_level_info_stands_in_the_guide() {
    let row = &rows("| `info` |")[0];
    let messages = logged("info");
    assert!(!messages.is_empty());
    for message in messages {
        assert!(words(row[1]).contains(&*message), "{message} is not explained");
    }
}
