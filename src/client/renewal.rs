//! The exchange of a credential over the open connection, in time before its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Fuse};
use tokio::time::Instant;

use super::builder::Settings;
use super::{ClientError, Credential};
use crate::deadline::after;

pub(super) struct Renewal {
    settings: Arc<Settings>,
    /// When the present credential ends, as far as is known, by the clock that does not jump.
    ends_at: Option<Instant>,
    /// When it is to be exchanged.
    pub(super) due: Option<Instant>,
    /// How often a fresh one was asked for.
    count: u32,
    /// The fresh one that has been asked for.
    pub(super) fresh: Fuse<BoxFuture<'static, Result<Option<Credential>, ClientError>>>,
}

/// The longest that a credential is kept because those before it ended so soon.
const RAREST: Duration = Duration::from_secs(30);

impl Renewal {
    pub(super) fn new(settings: Arc<Settings>, credential: Option<&Credential>) -> Self {
        let ends_at = credential.and_then(Credential::end).filter(|_| settings.supply.is_renewable());
        let mut renewal = Self { settings, ends_at, due: None, count: 0, fresh: Fuse::terminated() };
        renewal.plan();
        renewal
    }

    /// The server took one that ends then.
    pub(super) fn renewed(&mut self, ends_at: Option<Instant>) {
        self.ends_at = ends_at;
    }

    /// In time before the credential's end, but not if that is unknown, nor if it seems to be over: then it is this
    /// machine's clock that is wrong. One that is wrong by less makes each fresh credential look short-lived; those are
    /// exchanged ever more rarely.
    pub(super) fn plan(&mut self) {
        let now = Instant::now();
        let left = self.ends_at.map(|end| end.saturating_duration_since(now));
        let rarely =
            Duration::from_millis(500).saturating_mul(1u32.checked_shl(self.count).unwrap_or(u32::MAX));
        self.due = left.filter(|left| left.as_secs() >= 1).map(|left| {
            let wait = left.saturating_sub(self.settings.renew).max(left.mul_f64(0.75));
            after(now, wait.max(rarely.min(RAREST)))
        });
    }

    pub(super) fn ask(&mut self) {
        self.due = None;
        self.count = self.count.saturating_add(1);
        let settings = self.settings.clone();
        let due = after(Instant::now(), settings.attempt);
        self.fresh = async move { settings.supply.ask(due).await }.boxed().fuse();
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::sleep_until;

    use super::super::credential::Supply;
    use super::super::delay::Delays;
    use super::super::dial::Endpoint;
    use super::*;
    use crate::extract::Source;

    fn asking(seconds: u64) -> Arc<Settings> {
        let fresh = move || -> BoxFuture<'static, _> {
            let end = SystemTime::now() + Duration::from_secs(seconds);
            Box::pin(async move { Ok(Credential::new("t").expiring_at(end)) })
        };
        let minute = Duration::from_secs(60);
        Arc::new(Settings {
            endpoint: Endpoint::new("ws://host/").unwrap(),
            supply: Supply::Asked(Arc::new(fresh)),
            place: Source::Path,
            delays: Delays { min: minute, max: minute, fixed: None },
            settle: minute,
            attempt: minute,
            heartbeat: minute,
            pong: minute,
            renew: minute,
            message_bytes: 1,
        })
    }

    /// How often a credential that always seems to end so soon is exchanged in an hour.
    async fn exchanges(seconds: u64) -> u32 {
        let settings = asking(seconds);
        let first = settings.supply.ask(Instant::now()).await.unwrap();
        let mut renewal = Renewal::new(settings, first.as_ref());
        let end = Instant::now() + Duration::from_secs(3600);
        while let Some(due) = renewal.due.filter(|due| *due < end) {
            sleep_until(due).await;
            renewal.ask();
            let fresh = (&mut renewal.fresh).await.unwrap().unwrap();
            renewal.renewed(fresh.end());
            renewal.plan();
        }
        renewal.count
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_clock_makes_no_storm() {
        for seconds in [2, 5, 20] {
            let count = exchanges(seconds).await;
            assert!((100..130).contains(&count), "{count} for {seconds} s");
        }
        assert_eq!(exchanges(0).await, 0);
        // A true one is exchanged after three quarters of its life, or a minute before its end.
        for (seconds, expected) in [(50, 95..=97), (960, 3..=4)] {
            let count = exchanges(seconds).await;
            assert!(expected.contains(&count), "{count} for {seconds} s");
        }
    }
}
