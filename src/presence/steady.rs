use tokio::time::{Duration, Instant};

use super::Renewed;

/// Since when the renewals of this node have succeeded, which decides whether it may sweep. Without I/O.
///
/// When the engine comes back from an outage, all leases may have ended. The first node to renew must not sweep the others: they are
/// online, and renew within their next two attempts.
#[derive(Debug, Default)]
pub(crate) struct Steady(Option<Instant>);

impl Steady {
    /// Notes a renewal, or `None` for one that failed.
    pub(crate) fn renewed(&mut self, renewed: Option<Renewed>, now: Instant) {
        match renewed {
            None => self.0 = None,
            Some(Renewed { is_new: true }) => self.0 = Some(now),
            Some(_) => {
                self.0.get_or_insert(now);
            }
        }
    }

    /// Whether renewals have succeeded for this time.
    pub(crate) fn has_lasted(&self, lease: Duration, now: Instant) -> bool {
        self.0.is_some_and(|since| now.saturating_duration_since(since) >= lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(90);
    const NEW: Option<Renewed> = Some(Renewed { is_new: true });
    const OLD: Option<Renewed> = Some(Renewed { is_new: false });

    #[test]
    fn a_whole_lease_without_a_failure_is_needed() {
        let start = Instant::now();
        // At this second, the result of the renewal, and whether the node sweeps then.
        for renewals in [
            &[(0, NEW, false), (30, OLD, false), (60, OLD, false), (90, OLD, true), (120, OLD, true)][..],
            // A lease that was long enough for the outage: those of others were not.
            &[(0, NEW, false), (90, OLD, true), (120, None, false), (150, OLD, false), (240, OLD, true)],
            // The engine comes and goes.
            &[(0, NEW, false), (89, OLD, false), (90, None, false), (170, NEW, false), (260, OLD, true)],
            // This node was away, and no call failed meanwhile.
            &[(0, NEW, false), (90, OLD, true), (500, NEW, false), (590, OLD, true)],
        ] {
            let mut steady = Steady::default();
            for (second, renewed, sweeps) in renewals {
                let now = start + Duration::from_secs(*second);
                steady.renewed(*renewed, now);
                assert_eq!(steady.has_lasted(LEASE, now), *sweeps, "{renewals:?} at {second}");
            }
        }
    }
}
