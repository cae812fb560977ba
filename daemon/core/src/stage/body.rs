//! The body of what a viewer gets: shared bytes, counted as they leave.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use prometheus::IntCounter;

/// A connection takes a frame whole, however full its socket is. Frames of this size keep a body, and what it
/// holds, alive until all but the last of it is sent.
const LARGEST_FRAME: usize = 1024 * 1024;

/// What a stream without end does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// It goes on with this.
    Data(Bytes),
    /// It ends in peace.
    End,
    /// It ends because the viewer does not keep up.
    Cut,
}

/// A body without end: one viewer's way through something that goes on. Asking for more says that the connection took
/// what was given before.
pub trait Endless: Send + Sync {
    /// What comes next. Shared bytes, never copied; nothing is allocated for them.
    fn poll_flow(&mut self, context: &mut Context<'_>) -> Poll<Flow>;
}

/// A body of shared chunks, or one without end. What it holds (permits, counts) is let go when it is dropped.
#[derive(Default)]
pub struct Body {
    /// The chunk that is being sent: most bodies have no other, and need no list.
    front: Bytes,
    rest: Rest,
    left: u64,
    sent_bytes: Option<IntCounter>,
    held: Vec<Box<dyn Send + Sync>>,
}

/// What comes behind the front. A stream without end adds nothing to the size of other bodies.
enum Rest {
    Chunks(VecDeque<Bytes>),
    Endless(Box<Stream>),
}

impl Default for Rest {
    fn default() -> Self {
        Self::Chunks(VecDeque::new())
    }
}

struct Stream {
    flow: Box<dyn Endless>,
    /// Counts that it was cut.
    cuts: Option<IntCounter>,
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
        Self { front, rest: Rest::Chunks(chunks), left, ..Self::default() }
    }

    /// Whatever `endless` gives.
    pub fn endless(endless: impl Endless + 'static) -> Self {
        let stream = Stream { flow: Box::new(endless), cuts: None };
        Self { rest: Rest::Endless(Box::new(stream)), ..Self::default() }
    }

    /// Whether it has no end of its own.
    pub fn is_endless(&self) -> bool {
        matches!(self.rest, Rest::Endless(_))
    }

    /// Counts when a viewer of a stream without end is cut off.
    pub fn count_cuts(&mut self, cuts: &IntCounter) {
        if let Rest::Endless(stream) = &mut self.rest {
            stream.cuts = Some(cuts.clone());
        }
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

    /// How many bytes are left to send; 0 for a stream without end.
    pub fn len_bytes(&self) -> u64 {
        self.left
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let left = bytes.len() as u64;
        Self { front: bytes, left, ..Self::default() }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Rest::Endless(stream) = &mut self.rest {
            let flow = ready!(stream.flow.poll_flow(context));
            if let Flow::Data(bytes) = flow {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if let (Flow::Cut, Some(cuts)) = (&flow, &stream.cuts) {
                cuts.inc();
            }
            self.rest = Rest::default(); // behind its end it is a body without bytes
            return Poll::Ready(None);
        }
        if self.front.is_empty() {
            return Poll::Ready(None);
        }
        let take = self.front.len().min(LARGEST_FRAME);
        let chunk = self.front.split_to(take);
        if self.front.is_empty() {
            let Rest::Chunks(chunks) = &mut self.rest else { return Poll::Ready(None) };
            let next = chunks.pop_front();
            self.front = next.unwrap_or_default();
        }
        self.left -= chunk.len() as u64;
        if let Some(sent) = &self.sent_bytes {
            sent.inc_by(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        !self.is_endless() && self.front.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_endless() { SizeHint::new() } else { SizeHint::with_exact(self.left) }
    }
}
