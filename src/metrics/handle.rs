//! Registers the metrics of the table with the recorder.

use ::metrics::{
    Counter, Gauge, Histogram, Key as Name, Label, Level, Metadata, SharedString, Unit, with_recorder,
};

use super::table::{Metric, MetricKind};

const METADATA: Metadata<'static> = Metadata::new("keywire", Level::INFO, Some("keywire"));

pub(super) fn describe(metric: &Metric) {
    let about = SharedString::const_str(metric.about);
    let name = metric.name.into();
    with_recorder(|recorder| match metric.kind {
        MetricKind::Counter => recorder.describe_counter(name, unit(metric), about),
        MetricKind::Gauge => recorder.describe_gauge(name, unit(metric), about),
        MetricKind::Histogram => recorder.describe_histogram(name, unit(metric), about),
    });
}

/// The unit, from the end of the name.
fn unit(metric: &Metric) -> Option<Unit> {
    let base = metric.name.trim_end_matches("_total");
    match base.rsplit('_').next() {
        Some("seconds") => Some(Unit::Seconds),
        Some("bytes") => Some(Unit::Bytes),
        Some("ratio") => None,
        _ => Some(Unit::Count),
    }
}

pub(super) fn counter(metric: &Metric, labels: &[(&'static str, &str)]) -> Counter {
    let labels: Vec<_> = labels.iter().map(|&(name, value)| Label::new(name, value.to_owned())).collect();
    with_recorder(|recorder| recorder.register_counter(&Name::from_parts(metric.name, labels), &METADATA))
}

pub(super) fn gauge(metric: &Metric) -> Gauge {
    with_recorder(|recorder| recorder.register_gauge(&Name::from_static_name(metric.name), &METADATA))
}

pub(super) fn histogram(metric: &Metric) -> Histogram {
    with_recorder(|recorder| recorder.register_histogram(&Name::from_static_name(metric.name), &METADATA))
}
