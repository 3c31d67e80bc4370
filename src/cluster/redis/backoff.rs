use std::time::Duration;

/// Delays before attempts to connect, without end: from 50 ms to 5 s, each half of it random, so that the nodes of a cluster do not
/// come back in the same moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

impl Backoff {
    /// The delay before the next attempt.
    pub(super) fn next(&mut self) -> Duration {
        let delay = SHORTEST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        delay.mul_f64(0.5 + random() / 2.0)
    }
}

/// A random number in 0..1.
fn random() -> f64 {
    let mut bytes = [0; 8];
    // If there is no randomness, only the spread over the nodes is lost.
    let _ = getrandom::getrandom(&mut bytes);
    (u64::from_ne_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_never_end() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..100).map(|_| backoff.next()).collect();
        assert!(delays[0] >= SHORTEST / 2 && delays[0] <= SHORTEST);
        assert!(delays[7..].iter().all(|delay| *delay >= LONGEST / 2 && *delay <= LONGEST), "{delays:?}");
    }
}
