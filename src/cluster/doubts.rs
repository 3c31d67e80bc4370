use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::Topic;

/// Topics whose subscription may not be what the store says, since a call of the store did not come to its end.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topics: HashSet<Topic>,
    /// A task looks at them.
    is_watched: bool,
}

/// Pauses before topics are looked at, and the longest time for one of them.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_CALL: Duration = Duration::from_secs(5);

impl Doubts {
    /// Calls `align` for each topic later, again and again until it comes to its end. One task does that for all topics: a store that
    /// hangs may do so for many sessions.
    pub(super) fn align_later<F>(
        self: &Arc<Self>,
        topics: impl IntoIterator<Item = Topic>,
        align: impl Fn(Topic) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        // Without a runtime nothing is subscribed either.
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.add(topics) {
            return;
        }
        let doubts = Arc::clone(self);
        runtime.spawn(async move {
            let mut pause = SHORTEST_PAUSE;
            loop {
                sleep(pause).await;
                let Some(mut topics) = doubts.take() else { return };
                pause = SHORTEST_PAUSE;
                while let Some(topic) = topics.iter().next().cloned() {
                    if timeout(LONGEST_CALL, align(topic.clone())).await.is_err() {
                        doubts.add(topics);
                        pause = LONGEST_PAUSE;
                        break;
                    }
                    topics.remove(&topic);
                }
            }
        });
    }

    /// Adds topics. Returns whether a task is needed that looks at them.
    fn add(&self, topics: impl IntoIterator<Item = Topic>) -> bool {
        let mut inner = self.lock();
        inner.topics.extend(topics);
        !std::mem::replace(&mut inner.is_watched, true)
    }

    /// Takes all topics. `None` if there are none: then the task ends.
    fn take(&self) -> Option<HashSet<Topic>> {
        let mut inner = self.lock();
        inner.is_watched = !inner.topics.is_empty();
        inner.is_watched.then(|| std::mem::take(&mut inner.topics))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    #[test]
    fn one_task_at_a_time_looks_at_all_of_them() {
        let doubts = Doubts::default();
        assert!(doubts.add([Topic::ALL]) && !doubts.add([Topic::ALL]));
        assert_eq!(doubts.take(), Some(HashSet::from([Topic::ALL])));
        assert!(!doubts.add([Topic::ALL]), "the task is at work");
        assert!(doubts.take().is_some() && doubts.take().is_none());
        assert!(doubts.add([Topic::ALL]), "it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_is_aligned_again_until_that_comes_to_its_end() {
        let (doubts, hangs) = (Arc::<Doubts>::default(), Arc::new(AtomicUsize::new(2)));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        doubts.align_later([Topic::ALL], move |topic| {
            let (hangs, tell) = (hangs.clone(), tell.clone());
            async move {
                if hangs.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                    std::future::pending::<()>().await;
                }
                let _ = tell.send(topic);
            }
        });
        assert_eq!(told.recv().await, Some(Topic::ALL));
        assert_eq!(told.recv().await, None, "once, and the task ends");
    }
}
