//! The body of an endless answer.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use crate::fault::Fault;

type Inner = Pin<Box<dyn Stream<Item = Result<Bytes, Fault>> + Send + Sync>>;

/// What an origin sends without end, as it comes and never copied. It is pulled: who does not read makes the origin
/// wait. `None` is a clean end; after a fault there is nothing more. What it holds (permits, counts) is let go at its
/// end. Dropping it ends the exchange.
pub struct Frames {
    inner: Option<Inner>,
    held: Vec<Box<dyn Send + Sync>>,
}

impl Frames {
    /// These frames.
    pub fn new(frames: impl Stream<Item = Result<Bytes, Fault>> + Send + Sync + 'static) -> Self {
        Self { inner: Some(Box::pin(frames)), held: Vec::new() }
    }

    /// Keeps `held` until the end.
    #[must_use]
    pub fn holding(mut self, held: impl Send + Sync + 'static) -> Self {
        self.held.push(Box::new(held));
        self
    }
}

impl Stream for Frames {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let item = ready!(inner.as_mut().poll_next(cx));
        if !matches!(item, Some(Ok(_))) {
            self.inner = None;
            self.held.clear();
        }
        Poll::Ready(item)
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::fault::FaultKind;

    #[tokio::test]
    async fn what_it_holds_goes_with_its_end_and_with_a_fault() {
        let (frame, fault) = (Ok(Bytes::from_static(b"x")), Err(FaultKind::Truncated.into()));
        for (last, expected) in [(vec![frame.clone()], 1), (vec![frame, fault], 2)] {
            let held = Arc::new(());
            let mut frames = Frames::new(stream::iter(last)).holding(held.clone());
            let mut seen = 0;
            while frames.next().await.is_some() {
                seen += 1;
            }
            assert_eq!((seen, Arc::strong_count(&held)), (expected, 1));
            assert!(frames.next().await.is_none());
        }
    }
}
