//! The activity of a connection. It decides which connection ends when the limit is reached.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::time::Instant;

use crate::limits::Address;

/// State of one connection. Its stream, timer and request share it with the [`ConnectionQuota`](super::quota::ConnectionQuota).
#[derive(Debug)]
pub(super) struct Activity {
    address: Option<Address>,
    state: Mutex<State>,
    long_heads: LongHeads,
}

/// Total excess over [`SHORT_HEAD`] of all incomplete heads of a server, in bytes.
pub(super) type LongHeads = Arc<AtomicUsize>;

/// Length of a short head, in bytes. Almost every head is shorter. The excess of a longer head counts for [`MOST_LONG_HEADS`].
const SHORT_HEAD: usize = 8 * 1024;

/// Limit on the excess of all long heads together, in bytes. Otherwise every connection could hold the largest head.
const MOST_LONG_HEADS: usize = 16 * 1024 * 1024;

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Length of the part of an incomplete head that was read, in bytes.
    head: usize,
    /// The start of the wait for the client, or of the request.
    since: Instant,
    order: Order,
    /// Whether all bytes that have arrived were read.
    is_silent: bool,
    has_body: bool,
    /// Whether a part of the request's body was not read.
    is_unread: bool,
    /// Whether bytes after the request were read.
    is_ahead: bool,
    task: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No bytes were read so far.
    Fresh,
    /// A part of a TLS handshake was read.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has handshakes"))]
    Handshake,
    /// Between two requests.
    Idle,
    /// A part of a head was read.
    Head,
    /// The service works on a request.
    Work,
    /// The service waits for the client's body.
    Body,
    /// The client does not read the response.
    Answer,
    /// The write side is shut down, and the rest of the client's bytes are read.
    Closing,
    /// The connection has left HTTP.
    Upgraded,
}

/// An order for the connection's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Stay,
    /// End if idle.
    Leave,
    /// End after the request in progress.
    Drain,
    /// End now.
    Cut,
}

/// Party or event that a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// A request. `is_fresh`: it would be the first request.
    Idle { is_fresh: bool },
    /// The client, within a request.
    Client,
    /// The service, or the protocol after the upgrade.
    Service,
}

impl Activity {
    pub(super) fn new(address: Option<Address>, order: Order, long_heads: LongHeads) -> Self {
        let state = State {
            phase: Phase::Fresh,
            head: 0,
            since: Instant::now(),
            order,
            is_silent: false,
            has_body: false,
            is_unread: false,
            is_ahead: false,
            task: None,
        };
        Self { address, state: Mutex::new(state), long_heads }
    }

    pub(super) fn address(&self) -> Option<Address> {
        self.address
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    pub(super) fn waits(&self) -> (Waits, Instant) {
        let state = self.state();
        let waits = match state.phase {
            Phase::Fresh => Waits::Idle { is_fresh: true },
            Phase::Handshake | Phase::Idle | Phase::Closing => Waits::Idle { is_fresh: false },
            Phase::Head | Phase::Body | Phase::Answer => Waits::Client,
            Phase::Work | Phase::Upgraded => Waits::Service,
        };
        (waits, state.since)
    }

    /// Records that hyper begins to wait for a head.
    pub(super) fn begins_to_wait(&self) -> Phase {
        let mut state = self.state();
        if state.phase != Phase::Fresh {
            state.phase = if state.is_ahead { Phase::Head } else { Phase::Idle };
            state.since = Instant::now();
            state.is_ahead = false;
            state.is_unread = false;
        }
        state.phase
    }

    /// Records that hyper takes over a connection, and will read again what was read of its first request.
    pub(super) fn is_handed_over(&self) {
        let mut state = self.state();
        state.is_ahead = state.phase != Phase::Fresh;
    }

    /// Records bytes that were read. Returns `false` if they exceed the limit on long heads.
    pub(super) fn has_read(&self, bytes: usize) -> bool {
        let mut state = self.state();
        match state.phase {
            Phase::Fresh | Phase::Idle => {
                state.phase = Phase::Head;
                state.since = Instant::now();
            }
            Phase::Head => {}
            Phase::Work | Phase::Answer if !state.has_body => {
                state.is_ahead = true;
                return true;
            }
            _ => return true,
        }
        self.counts(&mut state, bytes)
    }

    /// Records bytes of a TLS handshake. They count as those of a head. Returns `false` if they exceed the limit on long heads.
    #[cfg(feature = "tls")]
    pub(super) fn has_read_handshake(&self, bytes: usize) -> bool {
        let mut state = self.state();
        state.phase = Phase::Handshake;
        self.counts(&mut state, bytes)
    }

    /// Records the end of a TLS handshake. A server that shuts down answers the request that follows it.
    #[cfg(feature = "tls")]
    pub(super) fn has_shaken_hands(&self) {
        let mut state = self.state();
        self.head_ends(&mut state);
        state.is_ahead = state.order == Order::Drain;
        state.phase = if state.is_ahead { Phase::Head } else { Phase::Fresh };
        state.since = Instant::now();
    }

    fn counts(&self, state: &mut State, bytes: usize) -> bool {
        let before = long(state.head);
        state.head += bytes;
        let more = long(state.head) - before;
        more == 0 || self.long_heads.fetch_add(more, Ordering::Relaxed) + more <= MOST_LONG_HEADS
    }

    fn head_ends(&self, state: &mut State) {
        self.long_heads.fetch_sub(long(state.head), Ordering::Relaxed);
        state.head = 0;
    }

    /// Records that a request goes to the service.
    pub(super) fn begins_to_work(&self, has_body: bool) {
        let mut state = self.state();
        self.head_ends(&mut state);
        state.phase = Phase::Work;
        state.has_body = has_body;
        state.is_unread = has_body;
    }

    /// Records whether a request in progress waits for the client or for the service.
    pub(super) fn at_work(&self, phase: Phase) {
        let mut state = self.state();
        if let Phase::Work | Phase::Body | Phase::Answer = state.phase {
            state.phase = phase;
        }
    }

    /// Records that the body was read to its end.
    pub(super) fn has_read_body(&self) {
        self.state().is_unread = false;
    }

    /// Records that the connection closes. Returns whether the client may still be sending.
    pub(super) fn begins_to_close(&self) -> bool {
        let mut state = self.state();
        let is_begun = matches!(state.phase, Phase::Handshake | Phase::Head);
        let is_sending = is_begun || state.is_unread || state.is_ahead;
        state.phase = Phase::Closing;
        state.since = Instant::now();
        is_sending
    }

    /// Records that the connection has left HTTP, while its stream stays open.
    pub(super) fn is_upgraded(&self) {
        self.state().phase = Phase::Upgraded;
    }

    pub(super) fn order(&self) -> Order {
        self.state().order
    }

    /// Gives an order to the connection's task. The strictest order wins.
    pub(super) fn tell(&self, order: Order) {
        let mut state = self.state();
        if order as u8 > state.order as u8 {
            state.order = order;
            let task = state.task.take();
            drop(state);
            if let Some(task) = task {
                task.wake();
            }
        }
    }

    /// Whether the connection's task must end at once. Later orders wake the task.
    pub(super) fn is_cut(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.state();
        state.is_silent = false;
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            None => state.task = Some(cx.waker().clone()),
        }
        state.order == Order::Cut
    }

    /// Whether the connection seems idle and has an order to end, so that its socket must be checked.
    pub(super) fn is_asked_to_leave(&self) -> bool {
        let state = self.state();
        state.order != Order::Stay && matches!(state.phase, Phase::Fresh | Phase::Idle)
    }

    /// Records whether all bytes that have arrived were read.
    pub(super) fn is_silent(&self, is_silent: bool) {
        self.state().is_silent = is_silent;
    }

    /// Whether the connection may stop accepting requests now. A request that has partly arrived is answered first.
    pub(super) fn may_be_drained(&self) -> bool {
        let mut state = self.state();
        match (state.order, state.phase) {
            (Order::Stay | Order::Cut, _) => false,
            (_, Phase::Fresh | Phase::Idle) if state.is_silent => true,
            (Order::Leave, Phase::Closing) => false,
            (Order::Leave, Phase::Handshake) => true,
            (Order::Leave, _) => {
                // The connection is no longer idle, so the order is void.
                state.order = Order::Stay;
                false
            }
            (Order::Drain, phase) => matches!(phase, Phase::Work | Phase::Body | Phase::Answer),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is safe to use: no panic can interrupt a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let head = self.state().head;
        self.long_heads.fetch_sub(long(head), Ordering::Relaxed);
    }
}

/// The excess of a head.
fn long(head: usize) -> usize {
    head.saturating_sub(SHORT_HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_heads_are_bounded_together_and_short_ones_are_not() {
        let all = LongHeads::default();
        let connection = || Activity::new(None, Order::Stay, all.clone());
        let mut long = Vec::new();
        for _ in 0..MOST_LONG_HEADS / (24 * 1024) {
            let activity = connection();
            assert!((0..4).all(|_| activity.has_read(8 * 1024)));
            long.push(activity);
        }
        let refused = connection();
        assert!(!(0..4).all(|_| refused.has_read(8 * 1024)));
        let short = connection();
        assert!(short.has_read(8 * 1024), "an ordinary head");
        // One head is complete, and one connection has ended.
        drop(refused);
        long[0].begins_to_work(false);
        long.swap_remove(1);
        for activity in [&connection(), &long[0]] {
            activity.begins_to_wait();
            assert!((0..4).all(|_| activity.has_read(8 * 1024)));
        }
        drop((long, short));
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
