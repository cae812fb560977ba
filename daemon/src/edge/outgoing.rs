//! A response's body on its way to the connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::activity::InFlight;
use super::lag::note_frame;

/// What an HTTP/2 stream is given at once: the frame size that every peer takes (RFC 9113, 4.2). The body, with
/// what it holds, then lives until the peer granted window for all but the last frame.
pub(super) const FRAME_BYTES: usize = 16 * 1024;

/// A body that keeps its request under way, and that is cut into frames where the peer grants window.
pub(crate) struct Outgoing<B> {
    body: B,
    rest: Bytes,
    frame_bytes: usize,
    /// Whether the body has no end of its own: it ends between two chunks when the connection is to finish.
    endless: bool,
    request: InFlight,
}

impl<B: Body> Outgoing<B> {
    /// For HTTP/1.1: chunks go as they are.
    pub(super) fn whole(body: B, request: InFlight) -> Self {
        Self::new(body, request, usize::MAX)
    }

    /// For HTTP/2.
    pub(super) fn framed(body: B, request: InFlight) -> Self {
        Self::new(body, request, FRAME_BYTES)
    }

    fn new(body: B, request: InFlight, frame_bytes: usize) -> Self {
        let endless = body.size_hint().upper().is_none();
        Self { body, rest: Bytes::new(), frame_bytes, endless, request }
    }

    fn cut(&mut self, mut bytes: Bytes) -> Frame<Bytes> {
        if bytes.len() > self.frame_bytes {
            self.rest = bytes.split_off(self.frame_bytes);
        }
        Frame::data(bytes)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.endless && self.rest.is_empty() && self.request.is_to_finish() {
            note_frame(false);
            return Poll::Ready(None);
        }
        if self.frame_bytes == usize::MAX {
            return Pin::new(&mut self.body).poll_frame(context);
        }
        if !self.rest.is_empty() {
            note_frame(true);
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.cut(rest))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            note_frame(false); // a chunk that follows at once is no pause of the viewer's
            return Poll::Pending;
        };
        note_frame(frame.is_some());
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(bytes) => self.cut(bytes),
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
