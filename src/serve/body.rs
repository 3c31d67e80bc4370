use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::stall::Stall;

/// The body of a request that [`serve`](crate::serve) hands to a service: hyper's own, but for an error where the client
/// sends none of it for [`ServeConfig::stall_timeout`](crate::ServeConfig::stall_timeout).
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    stall: Stall,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, limit: Duration) -> Self {
        Self { incoming, stall: Stall::new(limit) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        self.stall.watch(cx, polled).map(|polled| match polled {
            Ok(frame) => frame.map(|frame| frame.map_err(Into::into)),
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
