//! The contract of `Log`, on each log there is, and on one written from the trait's page.
#![cfg(feature = "testing")]

mod support;

use std::sync::Arc;

use keywire::log::{Log, MemoryLog, Retention};
use keywire::testing::log;

#[tokio::test]
async fn the_memory_log_keeps_the_contract() {
    log::all(&MemoryLog::new()).await;
    let retention = Retention { entries: 5, bytes: 1000, ..Retention::default() };
    let small = MemoryLog::new().with_retention(retention);
    log::trims_beyond(&small, 5).await;
    log::refuses_larger_than(&small, 1000).await;
}

#[tokio::test]
async fn a_shared_log_keeps_the_contract() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    log::all(&log).await;
}
