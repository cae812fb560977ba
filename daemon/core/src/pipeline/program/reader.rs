//! One viewer's way through a ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use super::{Ring, Seat};
use crate::media::ts::program::NULL_PACKET;
use crate::stage::{Endless, Flow};

/// A viewer who does not keep up is moved on so often, and then cut off.
const MOST_SKIPS: u32 = 8;
/// So many chunks in a row clear one skip: a minute or so.
const CHUNKS_FOR_A_SKIP: u32 = 300;

/// Reads a ring from a start on. One that the ring overtakes goes on at the newest start, behind a signal to the
/// decoder.
pub struct Reader {
    ring: Arc<Ring>,
    seat: Seat,
    behind: Duration,
    /// The number of the next chunk; none before the first start.
    next: Option<u64>,
    /// What goes out before it.
    signal: Bytes,
    idles: u64,
    closings: u64,
    skips: u32,
    good: u32,
    /// What was given last: the connection took it when it asks again.
    given_bytes: usize,
    changed: ReusableBoxFuture<'static, watch::Receiver<()>>,
}

impl Reader {
    /// Begins at the newest start that is at least `behind` old.
    pub fn new(ring: &Arc<Ring>, seat: Seat, behind: Duration) -> Self {
        let changed = ReusableBoxFuture::new(change(ring.head()));
        Self {
            seat,
            behind,
            next: None,
            signal: Bytes::new(),
            idles: ring.idles(),
            closings: ring.closings(),
            skips: 0,
            good: 0,
            given_bytes: 0,
            changed,
            ring: ring.clone(),
        }
    }

    /// What is there now.
    fn ready(&mut self) -> Option<Flow> {
        if self.seat.watching.is_dead() {
            return Some(Flow::Cut);
        }
        if !self.signal.is_empty() {
            return Some(Flow::Data(std::mem::take(&mut self.signal)));
        }
        if self.next.is_none() {
            self.next = self.ring.start_behind(self.behind);
        }
        if let Some(next) = self.next.filter(|next| *next < self.ring.next()) {
            return self.chunk(next);
        }
        if self.ring.closings() != self.closings {
            return Some(Flow::End);
        }
        let idles = self.ring.idles();
        let was_idle = std::mem::replace(&mut self.idles, idles) != idles;
        was_idle.then_some(Flow::Data(NULL_PACKET))
    }

    fn chunk(&mut self, next: u64) -> Option<Flow> {
        let Some(bytes) = self.ring.get(next).and_then(|slot| Some(slot.as_ref()?.chunk.bytes.clone()))
        else {
            return self.skip();
        };
        self.go_to(next + 1);
        self.idles = self.ring.idles();
        self.good += 1;
        if self.good >= CHUNKS_FOR_A_SKIP {
            (self.good, self.skips) = (0, self.skips.saturating_sub(1));
        }
        Some(Flow::Data(bytes))
    }

    /// The ring has overtaken the reader.
    fn skip(&mut self) -> Option<Flow> {
        (self.good, self.skips) = (0, self.skips + 1);
        self.seat.watching.skipped();
        self.seat.metrics.skips.inc();
        if self.skips > MOST_SKIPS {
            return Some(Flow::Cut);
        }
        // a start that leaves in this very moment is looked for again with the next chunk
        let start = self.ring.newest_start().filter(|start| self.ring.get(*start).is_some());
        let next = start.unwrap_or_else(|| self.ring.next());
        self.go_to(next);
        let signal = self.ring.get(next).and_then(|slot| Some(slot.as_ref()?.chunk.signal.clone()));
        let signal = signal.filter(|signal| !signal.is_empty());
        if signal.is_none() {
            self.next = None;
        }
        signal.map(Flow::Data)
    }

    fn go_to(&mut self, next: u64) {
        self.next = Some(next);
        self.seat.watching.next.store(next, Ordering::Relaxed);
    }
}

impl Endless for Reader {
    fn poll_flow(&mut self, context: &mut Context<'_>) -> Poll<Flow> {
        let given = std::mem::take(&mut self.given_bytes);
        if given > 0 {
            self.seat.watching.took(given, self.ring.now_ms());
        }
        loop {
            if let Some(flow) = self.ready() {
                if let Flow::Data(bytes) = &flow {
                    self.given_bytes = bytes.len();
                    self.seat.metrics.bytes.inc_by(bytes.len() as u64);
                }
                return Poll::Ready(flow);
            }
            let Poll::Ready(head) = self.changed.poll(context) else { return Poll::Pending };
            self.changed.set(change(head));
        }
    }
}

/// Waits for the next wake of the ring. One whose ring is gone waits for ever, which cannot be: the reader holds it.
async fn change(mut head: watch::Receiver<()>) -> watch::Receiver<()> {
    if head.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    head
}
