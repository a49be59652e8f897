//! The body of an answer: at most one piece of data, then at most one block of trailers.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response body.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    data: Option<Bytes>,
    trailers: Option<Box<HeaderMap>>,
}

impl Reply {
    /// Data only; nothing at all when it is empty.
    pub(crate) fn data(data: Vec<u8>) -> Self {
        Self {
            data: (!data.is_empty()).then(|| data.into()),
            trailers: None,
        }
    }

    /// Data, then trailers.
    pub(crate) fn with_trailers(data: Vec<u8>, trailers: HeaderMap) -> Self {
        Self {
            trailers: Some(Box::new(trailers)),
            ..Self::data(data)
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(|map| Frame::trailers(*map)));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64)
    }
}
