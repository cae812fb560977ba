//! The body of what a viewer gets: shared bytes, counted as they leave.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use prometheus::IntCounter;

/// A connection takes a frame whole, however full its socket is. Frames of this size keep a body, and what it
/// holds, alive until all but the last of it is sent.
const LARGEST_FRAME: usize = 1024 * 1024;

/// A finite body of shared chunks. What it holds (permits, counts) is let go when it is dropped.
#[derive(Default)]
pub struct Body {
    /// The chunk that is being sent: most bodies have no other, and need no list.
    front: Bytes,
    chunks: VecDeque<Bytes>,
    left: u64,
    sent_bytes: Option<IntCounter>,
    held: Vec<Box<dyn Send + Sync>>,
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// These chunks one after another, none of them copied.
    pub fn chunks(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let mut chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
        let front = chunks.next().unwrap_or_default();
        let chunks: VecDeque<Bytes> = chunks.collect();
        let left = front.len() as u64 + chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        Self { front, chunks, left, ..Self::default() }
    }

    /// Counts every byte that the connection takes.
    #[must_use]
    pub fn counted(mut self, sent_bytes: IntCounter) -> Self {
        self.sent_bytes = Some(sent_bytes);
        self
    }

    /// Keeps `held` until the body is gone.
    #[must_use]
    pub fn holding(mut self, held: impl Send + Sync + 'static) -> Self {
        self.held.push(Box::new(held));
        self
    }

    /// How many bytes are left to send.
    pub fn len_bytes(&self) -> u64 {
        self.left
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::chunks([bytes])
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.front.is_empty() {
            return Poll::Ready(None);
        }
        let take = self.front.len().min(LARGEST_FRAME);
        let chunk = self.front.split_to(take);
        if self.front.is_empty() {
            self.front = self.chunks.pop_front().unwrap_or_default();
        }
        self.left -= chunk.len() as u64;
        if let Some(sent) = &self.sent_bytes {
            sent.inc_by(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
