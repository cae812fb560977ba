//! The last events, kept so that a client that lost its connection misses nothing, and the stream of them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::sse;
use axum::response::{IntoResponse, Response, Sse};
use futures_util::Stream;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use prometheus::{Error, IntCounterVec, Opts, Registry};
use sluice_core::event::{Event, Events};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How many events are kept. A client that was away for longer misses the oldest.
const KEPT: usize = 1024;

/// How often a stream without events shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The last events. Clones are one log; a task fills it until the last clone is gone.
#[derive(Clone)]
pub(crate) struct EventLog {
    kept: Arc<Kept>,
    _filler: Arc<Filler>,
}

struct Kept {
    /// Part of every id on the wire: ids of an earlier run mean nothing to this one.
    run: i64,
    events: Mutex<VecDeque<Arc<Event>>>,
    /// The last id; closed streams end.
    head: watch::Sender<Head>,
}

#[derive(Clone, Copy, Default)]
struct Head {
    id: u64,
    closed: bool,
}

struct Filler(JoinHandle<()>);

impl Drop for Filler {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl EventLog {
    /// Keeps what is published from now on, and counts it by kind. Call it within a runtime.
    ///
    /// # Errors
    /// When `sluice_events_total` is registered already.
    pub(crate) fn new(events: &Events, registry: &Registry) -> Result<Self, Error> {
        let counted =
            IntCounterVec::new(Opts::new("sluice_events_total", "Events published, by kind."), &["kind"])?;
        registry.register(Box::new(counted.clone()))?;
        let kept = Arc::new(Kept {
            run: Timestamp::now().as_millisecond(),
            events: Mutex::default(),
            head: watch::Sender::default(),
        });
        let (filled, mut bus) = (kept.clone(), events.listen());
        let filler = tokio::spawn(async move {
            loop {
                match bus.recv().await {
                    Ok(event) => {
                        counted.with_label_values(&[event.kind]).inc();
                        filled.keep(event);
                    }
                    Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "events were lost"),
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(Self { kept, _filler: Arc::new(Filler(filler)) })
    }

    /// Ends every stream, after what it has not sent yet.
    pub(crate) fn close(&self) {
        self.kept.head.send_modify(|head| head.closed = true);
    }

    /// Server-sent events, from what follows `last` on (the header `Last-Event-ID`); from now on without one.
    /// An id of an earlier run, or one that is none, gets everything that is kept.
    pub(super) fn stream(&self, last: Option<&str>) -> Response {
        let after = match last {
            None => self.kept.head.borrow().id,
            Some(last) => self.kept.parse(last).unwrap_or(0),
        };
        let stream = Sse::new(follow(self.kept.clone(), after))
            .keep_alive(sse::KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive"));
        let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        ([unbuffered], stream).into_response()
    }
}

impl Kept {
    fn keep(&self, event: Arc<Event>) {
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
    fn next(&self, after: u64) -> Option<Arc<Event>> {
        let events = self.lock();
        let at = events.partition_point(|event| event.id <= after);
        events.get(at).cloned()
    }

    fn parse(&self, id: &str) -> Option<u64> {
        let (run, id) = id.split_once('-')?;
        (run.parse() == Ok(self.run)).then(|| id.parse().ok())?
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner) // each change leaves a valid list
    }
}

fn follow(kept: Arc<Kept>, after: u64) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let head = kept.head.subscribe();
    futures_util::stream::unfold((kept, head, after), |(kept, mut head, after)| async move {
        loop {
            let seen = *head.borrow_and_update();
            if let Some(event) = kept.next(after) {
                let shown = show(kept.run, &event);
                return Some((Ok(shown), (kept, head, event.id)));
            }
            if seen.closed || head.changed().await.is_err() {
                return None;
            }
        }
    })
}

fn show(run: i64, event: &Event) -> sse::Event {
    let shown = sse::Event::default().id(format!("{run}-{}", event.id)).event(event.kind);
    match serde_json::to_string(event) {
        Ok(json) => shown.data(json),
        Err(error) => shown.comment(error.to_string()), // maps with keys that are no strings: no event has one
    }
}
