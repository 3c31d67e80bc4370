use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::delivery::{Answer, RequestError, RequestId};

/// Gets the result of a request.
pub(crate) type Waiter = Box<dyn FnOnce(Result<Answer, RequestError>) + Send>;

/// The requests that wait for answers of one session. Among the extensions, so that a session that is never asked has no memory
/// for them.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<RequestId, Waiter>>);

/// Largest number of requests that wait for answers of one session.
const LIMIT: usize = 64;

impl Pending {
    pub(super) fn begin(self: Arc<Self>, id: RequestId, waiter: Waiter) -> Result<InFlight, RequestError> {
        let mut waiters = self.lock();
        if waiters.len() >= LIMIT {
            return Err(RequestError::TooMany { limit: LIMIT });
        }
        waiters.insert(id, waiter);
        drop(waiters);
        Ok(InFlight { pending: self, id })
    }

    pub(super) fn take(&self, id: RequestId) -> Option<Waiter> {
        let mut waiters = self.lock();
        let waiter = waiters.remove(&id);
        if waiters.is_empty() {
            // An idle session keeps no table.
            *waiters = HashMap::new();
        }
        waiter
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The session has ended.
    pub(super) fn end(&self) {
        let waiters = std::mem::take(&mut *self.lock());
        for waiter in waiters.into_values() {
            waiter(Err(RequestError::Ended));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Waiter>> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way. Dropping this forgets the request.
pub(crate) struct InFlight {
    pending: Arc<Pending>,
    id: RequestId,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // The waiter's end lies outside of the lock.
        drop(self.pending.take(self.id));
    }
}
