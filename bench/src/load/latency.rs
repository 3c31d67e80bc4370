//! Latencies, in little memory.

use std::time::Duration;

use super::report::Latency;

/// A logarithmic histogram: 32 steps per doubling, so a percentile is exact within 3 %.
#[derive(Debug)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

const STEPS: u64 = 32;

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; 64 * STEPS as usize], total: 0 }
    }
}

impl Latencies {
    /// Adds a number of equal latencies.
    pub fn add(&mut self, took: Duration, times: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[place(nanos)] += times;
        self.total += times;
    }

    /// The percentiles, if there are any values.
    #[must_use]
    pub fn summary(&self) -> Option<Latency> {
        (self.total > 0).then(|| Latency {
            p50: self.percentile(0.5),
            p99: self.percentile(0.99),
            p999: self.percentile(0.999),
        })
    }

    /// In µs.
    fn percentile(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0.0, |place| nanos(place) as f64 / 1000.0)
    }
}

fn place(nanos: u64) -> usize {
    let place = if nanos < STEPS {
        nanos
    } else {
        let doublings = u64::from(nanos.ilog2() - STEPS.ilog2());
        STEPS * doublings + (nanos >> doublings)
    };
    place as usize
}

fn nanos(place: usize) -> u64 {
    let place = place as u64;
    let doublings = (place / STEPS).saturating_sub(1);
    (place - STEPS * doublings) << doublings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stands_for_what_went_into_it() {
        for value in [0, 1, 31, 32, 33, 64, 1000, 123_456, 10_000_000_000, u64::MAX] {
            let found = nanos(place(value));
            assert!(found <= value && value - found <= value / 32, "{value} became {found}");
        }
    }

    #[test]
    fn percentiles() {
        let mut latencies = Latencies::default();
        assert!(latencies.summary().is_none());
        latencies.add(Duration::from_micros(16), 990);
        latencies.add(Duration::from_micros(512), 10);
        let summary = latencies.summary().unwrap();
        assert!((summary.p50 - 16.0).abs() < 1.0 && (summary.p999 - 512.0).abs() < 16.0, "{summary:?}");
    }
}
