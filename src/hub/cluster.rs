//! A hub in a cluster: it applies what the other nodes send, and says when they cannot be reached.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::joined::Joined;
use super::{Core, Hub};
use crate::cluster::members::MEMBERS;
use crate::cluster::requests::{FORGET, REQUEST};
use crate::cluster::{Clustered, Incoming, Outage, Question};
use crate::deadline::after;
use crate::delivery::{Delivery, NodeId, Order, Recipients};
use crate::frame::Frame;

impl Hub {
    /// Starts to listen to the other nodes, if there is a cluster.
    pub(super) fn listen(&self) {
        let Some(joined) = self.joined() else { return };
        let listener = Listener {
            hub: Arc::downgrade(&self.0),
            store: joined.store.clone(),
            outage: joined.outage.clone(),
            delay: joined.outage_delay,
        };
        let task = tokio::spawn(listener.run());
        joined.end_with_hub(task.abort_handle());
    }

    pub(super) fn joined(&self) -> Option<&Joined> {
        self.0.joined.as_ref()
    }

    /// Applies an order to the sessions of this node alone, those whose opening has begun included.
    pub(super) async fn dispatch_here(&self, to: &Recipients, order: &Order) -> Delivery {
        let promised = self.underway().apply(to, order);
        let call = self.ask_store("dispatch", || self.0.here.dispatch(to, order));
        let mut delivery = call.await.unwrap_or_else(|_| Delivery::unknown());
        delivery.delivered += promised.delivered;
        delivery
    }
}

/// Applies what comes from the other nodes, one after the other. It does not keep the hub alive.
struct Listener {
    hub: Weak<Core>,
    store: Clustered,
    outage: Outage,
    delay: Duration,
}

impl Listener {
    async fn run(self) {
        // When the outage is to be told to the sessions.
        let mut tell = (!self.store.join().await).then(|| after(Instant::now(), self.delay));
        let mut told = false;
        loop {
            let incoming = match tell {
                Some(moment) => timeout_at(moment, self.store.next()).await.ok(),
                None => Some(self.store.next().await),
            };
            let Some(hub) = self.hub.upgrade().map(Hub) else { return };
            match incoming {
                Some(Incoming::Order(to, order)) => {
                    hub.dispatch_here(&to, &order).await;
                }
                Some(Incoming::Question(asking, id, about, question)) => {
                    hub.answer(&self.store, asking, id, about, question);
                }
                Some(Incoming::Interrupted) => tell = Some(after(Instant::now(), self.delay)),
                Some(Incoming::Restored) => {
                    tell = None;
                    hub.dispatch_here(&Recipients::everyone(), &Order::CatchUp).await;
                    let store = self.store.clone();
                    tokio::spawn(async move { store.replace_again().await });
                    if std::mem::take(&mut told)
                        && let Outage::Tell { restored, .. } = &self.outage
                    {
                        hub.tell_all(Frame::push(restored)).await;
                    }
                }
                None => {
                    (tell, told) = (None, true);
                    match &self.outage {
                        Outage::Ignore => {}
                        Outage::Tell { lost, .. } => hub.tell_all(Frame::push(lost)).await,
                        Outage::Close => {
                            tracing::warn!(
                                "closing all sessions: the cluster is away. Setting: Cluster::on_outage"
                            );
                            // A task of its own: the closes are spread over time.
                            let hub = hub.clone();
                            tokio::spawn(async move { hub.close_in_batches(SPREAD, SPREAD).await });
                        }
                    }
                }
            }
        }
    }
}

impl Hub {
    /// Answers a question of another node, in a task of its own.
    fn answer(&self, store: &Clustered, asking: NodeId, id: u64, about: Recipients, question: Question) {
        match question.subject {
            MEMBERS => self.answer_members(store, asking, id, question.body),
            REQUEST => self.ask_for(store, asking, id, about, question.body),
            FORGET => self.forget_request(asking, id),
            subject => tracing::debug!(%asking, subject, "another node asks what this one does not know"),
        }
    }
}

/// Time over which the sessions of a node are closed, and over which their clients come back.
const SPREAD: Duration = Duration::from_secs(10);

impl Hub {
    async fn tell_all(&self, frame: Frame) {
        self.dispatch_here(&Recipients::everyone(), &Order::Deliver(frame)).await;
    }
}
