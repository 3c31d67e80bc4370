//! The body of a response: the service's, or an endpoint's.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::Response;
use hyper::body::{Body, Frame, SizeHint};

pin_project_lite::pin_project! {
    /// The body of a response.
    #[project = Projected]
    pub(super) enum AnswerBody<B> {
        Service { #[pin] body: B },
        /// Empty once it was read.
        Endpoint { body: Bytes },
    }
}

/// A part of a body.
pub(super) enum Part<D> {
    Service(D),
    Endpoint(Bytes),
}

impl<B> AnswerBody<B> {
    pub(super) fn of_service(response: Response<B>) -> Response<Self> {
        response.map(|body| Self::Service { body })
    }

    pub(super) fn of_endpoint(response: Response<String>) -> Response<Self> {
        response.map(|body| Self::Endpoint { body: body.into() })
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = Part<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project() {
            Projected::Service { body } => body.poll_frame(cx).map_ok(|frame| frame.map_data(Part::Service)),
            Projected::Endpoint { body } => {
                let part = std::mem::take(body);
                Poll::Ready((!part.is_empty()).then(|| Ok(Frame::data(Part::Endpoint(part)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Service { body } => body.is_end_stream(),
            Self::Endpoint { body } => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Service { body } => body.size_hint(),
            Self::Endpoint { body } => SizeHint::with_exact(body.len() as u64),
        }
    }
}

impl<D: Buf> Buf for Part<D> {
    fn remaining(&self) -> usize {
        match self {
            Self::Service(data) => data.remaining(),
            Self::Endpoint(data) => data.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Service(data) => data.chunk(),
            Self::Endpoint(data) => data.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Service(data) => data.chunks_vectored(slices),
            Self::Endpoint(data) => data.chunks_vectored(slices),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Service(data) => data.advance(count),
            Self::Endpoint(data) => data.advance(count),
        }
    }
}
