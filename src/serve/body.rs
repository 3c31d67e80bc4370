use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::activity::{Activity, Phase};
use super::progress::ProgressTimeout;

/// Body of a request that [`serve`](crate::serve()) passes to a service. It is hyper's body, with an error if the client has
/// stalled ([`ServeConfig::stall_timeout`](crate::serve::ServeConfig::stall_timeout)).
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    progress: ProgressTimeout,
    activity: Arc<Activity>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, progress: ProgressTimeout, activity: Arc<Activity>) -> Self {
        Self { incoming, progress, activity }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        this.activity.at_work(if polled.is_pending() { Phase::Body } else { Phase::Work });
        let watched = this.progress.watch(cx, polled, |frame| match frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        });
        watched.map(|polled| match polled {
            Ok(Some(frame)) => Some(frame.map_err(Into::into)),
            Ok(None) => {
                self.activity.has_read_body();
                None
            }
            Err(stalled) => Some(Err(stalled.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.activity.has_read_body();
        }
    }
}
