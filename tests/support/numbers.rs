//! Metrics, as a Prometheus server reads them.

use std::collections::BTreeMap;

use keywire::{Hub, HubBuilder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::{Server, until};

/// The metrics of the hubs that were built with it.
pub(crate) struct Numbers {
    recorder: PrometheusRecorder,
    seen: BTreeMap<String, f64>,
}

impl Numbers {
    pub(crate) fn new() -> Self {
        Self { recorder: PrometheusBuilder::new().build_recorder(), seen: BTreeMap::new() }
    }

    /// A hub that reports only here, whatever other tests do.
    pub(crate) fn hub(&self, hub: HubBuilder) -> Hub {
        metrics::with_local_recorder(&self.recorder, || hub.build())
    }

    pub(crate) fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }

    /// Every series, without the prefix `keywire_`. Of histograms only the number of values.
    pub(crate) fn all(&self) -> BTreeMap<String, f64> {
        let text = self.handle().render();
        let lines =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        let series = lines.map(|(name, value)| {
            let name = name.strip_prefix("keywire_").expect("a name of keywire's");
            (name.to_owned(), value.parse().expect("a number"))
        });
        series.filter(|(name, _)| !name.contains("quantile=") && !name.ends_with("_sum")).collect()
    }

    pub(crate) fn get(&self, name: &str) -> f64 {
        *self.all().get(name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    /// The series that have changed since the last call, and by how much.
    pub(crate) fn moved(&mut self) -> BTreeMap<String, f64> {
        let now = self.all();
        let before = std::mem::replace(&mut self.seen, now);
        let changes =
            self.seen.iter().map(|(name, now)| (name.clone(), now - before.get(name).unwrap_or(&0.0)));
        changes.filter(|(_, change)| *change != 0.0).collect()
    }

    /// Waits until no session is left. Returns the ends of sessions since the last call.
    pub(crate) async fn ended(&mut self) -> Vec<String> {
        until("the end of all sessions", async || match (self.get("sessions"), self.get("keys")) {
            (0.0, 0.0) => Ok(()),
            left => Err(format!("{left:?} are left")),
        })
        .await;
        let closed = self.moved().into_iter().filter_map(|(name, count)| {
            let labels = name.strip_prefix("sessions_closed_total")?.to_owned();
            assert_eq!(count, 1.0, "{labels}");
            Some(labels)
        });
        closed.collect()
    }
}

/// A server, and its metrics.
pub(crate) async fn watched(hub: HubBuilder) -> (Server, Numbers) {
    let numbers = Numbers::new();
    (Server::start(numbers.hub(hub)).await, numbers)
}

/// The expected changes.
pub(crate) fn moves(moves: &[(&str, f64)]) -> BTreeMap<String, f64> {
    moves.iter().map(|&(name, change)| (name.to_owned(), change)).collect()
}
