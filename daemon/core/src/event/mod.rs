//! Events: what happened, for whoever listens. Publishing never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;

/// How many events a listener may lag behind before it loses the oldest.
const BACKLOG: usize = 1024;

/// A pipeline moved to another state.
pub const PIPELINE_STATE: &str = "pipeline.state";
/// Media stopped coming to a pipeline that was live.
pub const STREAM_STALLED: &str = "stream.stalled";
/// Media comes again to a pipeline that was live before.
pub const STREAM_RECOVERED: &str = "stream.recovered";
/// Another source feeds a pipeline.
pub const SOURCE_SWITCHED: &str = "source.switched";
/// A source went down, or was left.
pub const SOURCE_FAILED: &str = "source.failed";
/// A source cannot take the place of what is served.
pub const SOURCE_REFUSED: &str = "source.refused";
/// A pipeline has no switches left for now.
pub const SOURCE_BUDGET_SPENT: &str = "source.budget-spent";
/// The configuration was read again.
pub const CONFIG_RELOADED: &str = "config.reloaded";

/// Every kind of event.
pub const KINDS: &[&str] = &[
    PIPELINE_STATE,
    STREAM_STALLED,
    STREAM_RECOVERED,
    SOURCE_SWITCHED,
    SOURCE_FAILED,
    SOURCE_REFUSED,
    SOURCE_BUDGET_SPENT,
    CONFIG_RELOADED,
];

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Rises by one with each event of this run of the daemon.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// What: one of [`KINDS`].
    pub kind: &'static str,
    /// The pipeline that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Arc<str>>,
    /// The particulars.
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
        Self { sender: broadcast::Sender::new(BACKLOG), next: Arc::new(AtomicU64::new(1)) }
    }
}

impl Events {
    /// Tells everyone who listens. Nobody listening is no error.
    pub fn publish(&self, kind: &'static str, pipeline: Option<Arc<str>>, detail: serde_json::Value) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let event = Event { id, time: Timestamp::now(), kind, pipeline, detail };
        if self.sender.send(Arc::new(event)).is_err() {
            tracing::trace!(kind, "nobody listens");
        }
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }
}
