//! `--log`: kept pushes, for users who are offline.

use std::sync::Arc;
use std::time::Duration;

use keywire::log::{Log, MemoryLog, Retention};

/// Options for the log, in which pushes with `"keep": true` wait for users who are offline.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Kept pushes")]
pub(crate) struct LogOptions {
    /// Keep pushes in this file. `memory`: keep them until the demo ends.
    #[arg(long, value_name = "FILE", overrides_with = "log")]
    log: Option<String>,

    /// Number of pushes that are kept for a key.
    #[arg(long, value_name = "N", requires = "log")]
    log_entries: Option<usize>,

    /// Time for which pushes are kept.
    #[arg(long, value_name = "SECONDS", requires = "log")]
    log_age: Option<u64>,
}

impl LogOptions {
    /// The log. `None`: without `--log`.
    pub(crate) async fn open(&self) -> Result<Option<Arc<dyn Log>>, String> {
        let Some(log) = &self.log else { return Ok(None) };
        let mut retention = Retention::default();
        retention.entries = self.log_entries.unwrap_or(retention.entries);
        retention.age = self.log_age.map_or(retention.age, Duration::from_secs);
        if log == "memory" {
            return Ok(Some(Arc::new(MemoryLog::new().with_retention(retention))));
        }
        file(log, retention).await.map(Some)
    }
}

#[cfg(feature = "sqlite")]
async fn file(path: &str, retention: Retention) -> Result<Arc<dyn Log>, String> {
    let log = keywire::log::SqliteLog::options().retention(retention).open(path).await;
    let log = log.map_err(|error| format!("--log: {error}"))?;
    let found = log.found();
    eprintln!("{path}: {} kept pushes for {} keys", found.entries, found.keys);
    Ok(Arc::new(log))
}

#[cfg(not(feature = "sqlite"))]
async fn file(_: &str, _: Retention) -> Result<Arc<dyn Log>, String> {
    Err("--log FILE needs the feature sqlite, which this demo was built without; use --log memory".into())
}
