//! An event as the API shows it, whether it was just published or comes from the store.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_core::event::Event;

use crate::store::KeptEvent;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventView {
    /// Rises with each event, over restarts of the daemon.
    pub(crate) id: u64,
    /// When.
    pub(crate) time: Timestamp,
    /// What, as `source.switched`.
    pub(crate) kind: String,
    /// The pipeline that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// The particulars.
    #[serde(default)]
    pub(crate) detail: Value,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id,
            time: event.time,
            kind: event.kind.to_owned(),
            pipeline: event.pipeline.as_deref().map(str::to_owned),
            cause: event.cause.as_deref().map(str::to_owned),
            detail: event.detail.clone(),
        }
    }
}

impl From<KeptEvent> for EventView {
    fn from(event: KeptEvent) -> Self {
        // what cannot be read was not written by this daemon, and is shown as it is
        let detail = serde_json::from_str(&event.detail).unwrap_or(Value::String(event.detail));
        let KeptEvent { id, time, kind, pipeline, cause, .. } = event;
        Self { id, time, kind, pipeline, cause, detail }
    }
}

impl From<&EventView> for KeptEvent {
    fn from(event: &EventView) -> Self {
        let EventView { id, time, kind, pipeline, cause, detail } = event.clone();
        Self { id, time, kind, pipeline, cause, detail: detail.to_string() }
    }
}
