//! `--metrics`: `/metrics` for a Prometheus server.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use warp::filters::BoxedFilter;
use warp::http::{HeaderValue, Response, header};
use warp::{Filter, Reply};

/// Interval at which values are sorted into buckets. Until then each value takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Collects metrics from now on. Build the hub afterwards.
pub(crate) fn collect() -> Result<PrometheusHandle, BuildError> {
    let mut prometheus = PrometheusBuilder::new();
    for metric in keywire::metrics::METRICS.iter().filter(|metric| !metric.buckets.is_empty()) {
        let name = Matcher::Full(metric.name.to_owned());
        prometheus = prometheus.set_buckets_for_metric(name, metric.buckets)?;
    }
    let handle = prometheus.install_recorder()?;
    tokio::spawn({
        let handle = handle.clone();
        async move {
            let mut interval = tokio::time::interval(UPKEEP);
            loop {
                interval.tick().await;
                handle.run_upkeep();
            }
        }
    });
    Ok(handle)
}

/// The route, if metrics are collected.
///
/// Every client that reaches it can read how many users are connected and which errors occur. If you copy it, serve it on a
/// port that only your Prometheus server reaches, or block it in your proxy.
pub(crate) fn route(numbers: Option<PrometheusHandle>) -> BoxedFilter<(impl Reply,)> {
    warp::path!("metrics")
        .and(warp::get())
        .and_then(move || {
            let page = numbers.as_ref().map(|numbers| page(numbers.render()));
            async { page.ok_or_else(warp::reject::not_found) }
        })
        .boxed()
}

fn page(text: String) -> Response<String> {
    let mut answer = Response::new(text);
    let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, media_type);
    answer
}
