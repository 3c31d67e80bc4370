//! Exchange of a credential over the open connection before it expires.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Fuse};
use tokio::time::Instant;

use super::settings::Settings;
use super::{ClientError, Credential};
use crate::deadline::after;

pub(super) struct Renewal {
    settings: Arc<Settings>,
    /// The expiry of the current credential on the monotonic clock, if it is known.
    ends_at: Option<Instant>,
    /// The time of the next exchange.
    pub(super) due: Option<Instant>,
    /// Number of calls for a new credential.
    count: u32,
    /// The current call for a new credential.
    pub(super) fresh: Fuse<BoxFuture<'static, Result<Option<Credential>, ClientError>>>,
}

/// Longest wait that earlier short-lived credentials cause.
const RAREST: Duration = Duration::from_secs(30);

impl Renewal {
    pub(super) fn new(settings: Arc<Settings>, credential: Option<&Credential>) -> Self {
        let ends_at = credential.and_then(Credential::end).filter(|_| settings.credentials.is_renewable());
        let mut renewal = Self { settings, ends_at, due: None, count: 0, fresh: Fuse::terminated() };
        renewal.plan();
        renewal
    }

    /// Records that the server has accepted a credential with this expiry.
    pub(super) fn renewed(&mut self, ends_at: Option<Instant>) {
        self.ends_at = ends_at;
    }

    /// Plans the next exchange before the credential expires. There is none if the expiry is unknown, or is past because the local
    /// clock is wrong. If the clock is wrong by less, each new credential seems short-lived. Such credentials are exchanged less and
    /// less often.
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
        self.fresh = async move { settings.credentials.ask(due).await }.boxed().fuse();
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::sleep_until;

    use super::super::backoff::Backoff;
    use super::super::credential::Credentials;
    use super::super::dial::Endpoint;
    use super::*;
    use crate::auth::CredentialSource;

    fn asking(seconds: u64) -> Arc<Settings> {
        let fresh = move || -> BoxFuture<'static, _> {
            let end = SystemTime::now() + Duration::from_secs(seconds);
            Box::pin(async move { Ok(Credential::new("t").expiring_at(end)) })
        };
        let minute = Duration::from_secs(60);
        Arc::new(Settings {
            endpoint: Endpoint::new("ws://host/").unwrap(),
            credentials: Credentials::Asked(Arc::new(fresh)),
            place: CredentialSource::Path,
            backoff: Backoff { min: minute, max: minute, fixed: None },
            settle: minute,
            attempt: minute,
            heartbeat: minute,
            pong: minute,
            renew: minute,
            answerers: Default::default(),
            message_bytes: 1,
        })
    }

    /// Number of exchanges in an hour if each credential seems to expire so soon.
    async fn exchanges(seconds: u64) -> u32 {
        let settings = asking(seconds);
        let first = settings.credentials.ask(Instant::now()).await.unwrap();
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
        // With a correct clock it is exchanged after three quarters of its lifetime, or a minute before its expiry.
        for (seconds, expected) in [(50, 95..=97), (960, 3..=4)] {
            let count = exchanges(seconds).await;
            assert!(expected.contains(&count), "{count} for {seconds} s");
        }
    }
}
