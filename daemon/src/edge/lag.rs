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

tokio::task_local! {
    /// When the stream of this task last took a frame from its body.
    static TOOK: Cell<Option<Instant>>;
}

/// A body gave a frame to its connection, or (`false`) has none to give.
pub(super) fn note_frame(given: bool) {
    // HTTP/1.1 has no such task: there the socket itself shows that a viewer takes nothing
    let _elsewhere = TOOK.try_with(|took| took.set(given.then(Instant::now)));
}

/// Runs the streams of one connection, and resets one whose frame waits for window longer than the limit.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) tasks: TaskTracker,
    pub(super) activity: Arc<Activity>,
    pub(super) metrics: Arc<ConnectionMetrics>,
    pub(super) limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let scoped =
            TOOK.scope(Cell::new(None), Stream { stream: Box::pin(stream), alarm: None, limit: self.limit });
        let streams = self.clone();
        self.tasks.spawn(async move {
            if let Outcome::Lagged = scoped.await {
                streams.metrics.evicted(Eviction::StreamLag);
                streams.activity.order(Order::Finish); // the peer opens another connection, if it wants more
            }
        });
    }
}

enum Outcome {
    Done,
    Lagged,
}

/// A stream that is dropped, which resets it (CANCEL), when it lags.
struct Stream<F> {
    stream: Pin<Box<F>>,
    alarm: Option<Pin<Box<Sleep>>>,
    limit: Duration,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        if self.stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(Outcome::Done);
        }
        let limit = self.limit;
        loop {
            let Some(due) = TOOK.with(Cell::get).map(|took| took + limit) else {
                return Poll::Pending;
            };
            if due <= Instant::now() {
                return Poll::Ready(Outcome::Lagged);
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending; // it may ring for an earlier frame: then it is set anew
            }
            alarm.as_mut().reset(due);
        }
    }
}
