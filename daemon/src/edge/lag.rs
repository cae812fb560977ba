//! HTTP/2 streams that get no window: hyper waits for it with a frame in hand and never looks at the time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use std::cell::Cell;
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;

use super::activity::{Activity, Eviction, Order};
use super::metrics::ConnectionMetrics;
use super::outgoing::FRAME_BYTES;
use super::settings::Floor;

tokio::task_local! {
    /// What the stream of this task took from its body; none where the body has nothing to give.
    static TOOK: Cell<Option<Took>>;
}

/// Frames that were taken from a body that had one each time.
#[derive(Debug, Clone, Copy)]
struct Took {
    /// When the last one was.
    last: Instant,
    /// When the span began in which they are counted.
    since: Instant,
    /// How many they were in the span.
    frames: u64,
}

/// A body gave a frame to its connection, or (`false`) has none to give.
pub(super) fn note_frame(given: bool) {
    // HTTP/1.1 has no such task: there the socket itself shows that a viewer takes nothing
    let _elsewhere = TOOK.try_with(|took| {
        let next = given.then(|| {
            let now = Instant::now();
            let (since, frames) = took.get().map_or((now, 0), |took| (took.since, took.frames));
            Took { last: now, since, frames: frames + 1 }
        });
        took.set(next);
    });
}

/// Runs the streams of one connection, and resets one whose frame waits for window longer than the limit.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) tasks: TaskTracker,
    pub(super) activity: Arc<Activity>,
    pub(super) metrics: Arc<ConnectionMetrics>,
    pub(super) limit: Duration,
    pub(super) floor: Floor,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (limit, floor) = (self.limit, self.floor);
        let scoped =
            TOOK.scope(Cell::new(None), Stream { stream: Box::pin(stream), alarm: None, limit, floor });
        let streams = self.clone();
        self.tasks.spawn(async move {
            if let Outcome::Evicted(reason) = scoped.await {
                streams.metrics.evicted(reason);
                streams.activity.order(Order::Finish); // the peer opens another connection, if it wants more
            }
        });
    }
}

enum Outcome {
    Done,
    Evicted(Eviction),
}

/// A stream that is dropped, which resets it (CANCEL), when it lags.
struct Stream<F> {
    stream: Pin<Box<F>>,
    alarm: Option<Pin<Box<Sleep>>>,
    limit: Duration,
    floor: Floor,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        if self.stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(Outcome::Done);
        }
        let (limit, floor) = (self.limit, self.floor);
        loop {
            let Some(took) = TOOK.with(Cell::get) else { return Poll::Pending };
            let now = Instant::now();
            if took.last + limit <= now {
                return Poll::Ready(Outcome::Evicted(Eviction::StreamLag));
            }
            if took.since + floor.span <= now {
                if took.frames * (FRAME_BYTES as u64) < floor.bytes {
                    return Poll::Ready(Outcome::Evicted(Eviction::SlowRead));
                }
                TOOK.with(|cell| cell.set(Some(Took { since: now, frames: 0, ..took })));
            }
            let due = (took.last + limit).min(took.since.max(now) + floor.span);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending; // it may ring for an earlier frame: then it is set anew
            }
            alarm.as_mut().reset(due);
        }
    }
}
