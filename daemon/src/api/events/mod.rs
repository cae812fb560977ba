//! The last events: in memory, so that a client that lost its connection misses nothing, and in the store, so that they
//! can be asked for and outlive the daemon.

mod keeping;
mod query;
mod view;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::sse;
use axum::response::{IntoResponse, Response, Sse};
use futures_util::Stream;
use http::{HeaderName, HeaderValue};
use prometheus::{Error, IntCounterVec, Opts, Registry};
use sluice_core::event::Events;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::store::{KeptEvents, Store, StoreError};

pub(crate) use query::{EventPage, EventStats};
pub(super) use query::{LogQuery, StreamQuery};
pub(crate) use view::EventView;

/// How many events are kept in memory. A client that was away for longer misses the oldest.
const KEPT: usize = 1024;

/// How often a stream without events shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long what waits to be written may take at the end.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// The last events. Clones are one log; a task fills it until the last clone is gone.
#[derive(Clone)]
pub(crate) struct EventLog {
    kept: Arc<Kept>,
    store: Store,
    filler: Arc<Filler>,
}

pub(super) struct Kept {
    events: Mutex<VecDeque<Arc<EventView>>>,
    /// The last id; closed streams end.
    head: watch::Sender<Head>,
}

#[derive(Clone, Copy, Default)]
struct Head {
    id: u64,
    closed: bool,
}

struct Filler {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Filler {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        task.iter().for_each(JoinHandle::abort);
    }
}

impl EventLog {
    /// Takes up what the store has of earlier runs, keeps what is published from now on, and counts it by kind. Call it
    /// within a runtime.
    ///
    /// # Errors
    /// When `sluice_events_total` is registered already.
    pub(crate) async fn open(events: &Events, store: Store, registry: &Registry) -> Result<Self, Error> {
        let counted =
            IntCounterVec::new(Opts::new("sluice_events_total", "Events published, by kind."), &["kind"])?;
        registry.register(Box::new(counted.clone()))?;
        let bus = events.listen();
        let kept = Arc::new(Kept { events: Mutex::default(), head: watch::Sender::default() });
        let before = KeptEvents { limit: KEPT as u64, ..KeptEvents::default() };
        match store.events(before).await {
            Ok(before) => before.into_iter().rev().for_each(|event| kept.keep(Arc::new(event.into()))),
            Err(error) => tracing::error!(%error, "the events of earlier runs cannot be read"),
        }
        let stop = watch::Sender::new(false);
        let keeping = keeping::keep(bus, kept.clone(), store.clone(), counted, stop.subscribe());
        let task = Mutex::new(Some(tokio::spawn(keeping)));
        Ok(Self { kept, store, filler: Arc::new(Filler { stop, task }) })
    }

    /// Ends every stream, after what it has not sent yet.
    pub(crate) fn close(&self) {
        self.kept.head.send_modify(|head| head.closed = true);
    }

    /// Waits until what was published is written. What comes later is not kept.
    pub(crate) async fn finish(&self) {
        self.filler.stop.send_replace(true);
        let task = self.filler.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return };
        match tokio::time::timeout(LAST_WRITE, task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "task failed"),
            Err(_) => tracing::error!("the last events could not be written in time"),
        }
    }

    /// Server-sent events that `wanted` asks for, from what follows `last` on (the header `Last-Event-ID`); from now on
    /// without one. An id that is none gets everything that is kept.
    pub(super) fn stream(&self, last: Option<&str>, wanted: StreamQuery) -> Response {
        let after = match last {
            None => self.kept.head.borrow().id,
            Some(last) => last.parse().unwrap_or(0),
        };
        let stream = Sse::new(follow(self.kept.clone(), after, wanted))
            .keep_alive(sse::KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive"));
        let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        ([unbuffered], stream).into_response()
    }

    /// A page of the log, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn page(&self, wanted: KeptEvents) -> Result<EventPage, StoreError> {
        let events = self.store.events(wanted).await?;
        Ok(EventPage { events: events.into_iter().map(EventView::from).collect() })
    }

    /// How many events of each kind the log has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn stats(&self) -> Result<EventStats, StoreError> {
        EventStats::of(&self.store).await
    }
}

impl Kept {
    pub(super) fn keep(&self, event: Arc<EventView>) {
        let id = event.id;
        let mut events = self.lock();
        events.push_back(event);
        if events.len() > KEPT {
            events.pop_front();
        }
        drop(events);
        self.head.send_modify(|head| head.id = head.id.max(id));
    }

    /// The first event behind this id.
    fn next(&self, after: u64) -> Option<Arc<EventView>> {
        let events = self.lock();
        let at = events.partition_point(|event| event.id <= after);
        events.get(at).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<EventView>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner) // each change leaves a valid list
    }
}

fn follow(
    kept: Arc<Kept>,
    after: u64,
    wanted: StreamQuery,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let head = kept.head.subscribe();
    futures_util::stream::unfold(
        (kept, head, after, wanted),
        |(kept, mut head, mut after, wanted)| async move {
            loop {
                let seen = *head.borrow_and_update();
                while let Some(event) = kept.next(after) {
                    after = event.id;
                    if wanted.wants(&event) {
                        return Some((Ok(show(&event)), (kept, head, after, wanted)));
                    }
                }
                if seen.closed || head.changed().await.is_err() {
                    return None;
                }
            }
        },
    )
}

fn show(event: &EventView) -> sse::Event {
    let shown = sse::Event::default().id(event.id.to_string()).event(&*event.kind);
    match serde_json::to_string(event) {
        Ok(json) => shown.data(json),
        Err(error) => shown.comment(error.to_string()), // maps with keys that are no strings: no event has one
    }
}
