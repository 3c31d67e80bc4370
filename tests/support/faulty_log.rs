use futures_util::future::BoxFuture;
use keywire::log::{Appended, Draft, Limit, Log, LogError, MemoryLog, Page, Position, ReadFrom};
use keywire::{Key, async_trait};

/// A log in memory that fails or waits when it is told to.
pub(crate) struct FaultyLog {
    log: MemoryLog,
    fault: Box<dyn Fn(Moment) -> BoxFuture<'static, Result<(), LogError>> + Send + Sync>,
}

/// When a fault may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeAppend,
    AfterAppend,
    BeforeRead,
}

impl FaultyLog {
    /// Calls `fault` at each moment, and goes on when its future returns `Ok`.
    pub(crate) fn new<F>(log: MemoryLog, fault: impl Fn(Moment) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), LogError>> + Send + 'static,
    {
        Self { log, fault: Box::new(move |moment| Box::pin(fault(moment))) }
    }
}

#[async_trait]
impl Log for FaultyLog {
    async fn append(&self, key: &Key, draft: &Draft) -> Result<Appended, LogError> {
        (self.fault)(Moment::BeforeAppend).await?;
        let appended = self.log.append(key, draft).await?;
        (self.fault)(Moment::AfterAppend).await?;
        Ok(appended)
    }

    async fn read(&self, key: &Key, from: ReadFrom, limit: Limit) -> Result<Page, LogError> {
        (self.fault)(Moment::BeforeRead).await?;
        self.log.read(key, from, limit).await
    }

    async fn end(&self, key: &Key) -> Result<Position, LogError> {
        self.log.end(key).await
    }

    async fn seen(&self, key: &Key, at: Position) -> Result<(), LogError> {
        self.log.seen(key, at).await
    }

    async fn forget(&self, key: &Key) -> Result<(), LogError> {
        self.log.forget(key).await
    }

    fn shared(&self) -> bool {
        false
    }
}
