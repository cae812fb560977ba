//! Events: what happened, for whoever listens. Publishing never waits.

mod handling;
mod kind;
mod pattern;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;

pub use handling::{
    Allowed, HandlerFault, HandlerStatus, Handling, HandlingParts, Subscription, Table as HandlerTable,
};
pub use kind::*;
pub use pattern::{Pattern, UnknownPattern};

/// How many events a listener may lag behind before it loses the oldest.
const BACKLOG: usize = 1024;

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Rises by one with each event, over restarts of the daemon.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// What: one of [`KINDS`].
    pub kind: &'static str,
    /// The pipeline that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Arc<str>>,
    /// Why, in words; none where there is nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Arc<str>>,
    /// The particulars: an object.
    pub detail: serde_json::Value,
}

/// The bus. A listener that lags by more than the backlog loses the oldest events and is told how many.
#[derive(Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    next: Arc<AtomicU64>,
}

impl Default for Events {
    fn default() -> Self {
        Self::after(0)
    }
}

impl Events {
    /// A bus whose first event has the id after `last`, the newest of earlier runs of the daemon.
    pub fn after(last: u64) -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG), next: Arc::new(AtomicU64::new(last + 1)) }
    }

    /// Tells everyone who listens. Nobody listening is no error, and an empty cause is none.
    pub fn publish(
        &self,
        kind: &'static str,
        pipeline: Option<Arc<str>>,
        cause: Option<&str>,
        detail: serde_json::Value,
    ) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let cause = cause.filter(|cause| !cause.is_empty()).map(Arc::from);
        let event = Event { id, time: Timestamp::now(), kind, pipeline, cause, detail };
        if self.sender.send(Arc::new(event)).is_err() {
            tracing::trace!(kind, "nobody listens");
        }
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }
}
