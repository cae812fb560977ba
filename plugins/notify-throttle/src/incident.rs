//! A trouble that is not over yet.

use sluice_plugin_sdk::prelude::*;
use sluice_plugin_sdk::serde::{Deserialize, Serialize};
use sluice_plugin_sdk::serde_json::Value;

/// Where troubles are kept.
pub(crate) const PREFIX: &str = "incident/";

/// A trouble of one pipeline and family.
#[derive(Debug, Serialize, Deserialize)]
#[serde(crate = "sluice_plugin_sdk::serde")]
pub(crate) struct Incident {
    /// The event that opened it.
    pub(crate) id: u64,
    pub(crate) kind: String,
    pub(crate) pipeline: Option<String>,
    /// Unix time.
    pub(crate) since_ms: u64,
    /// Bad events so far.
    pub(crate) count: u64,
    /// Since when nothing bad came after a good event: Unix time.
    pub(crate) calm_since_ms: Option<u64>,
}

impl Incident {
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            id: event.id,
            kind: event.kind.clone(),
            pipeline: event.pipeline.clone(),
            since_ms: clock::now_ms(),
            count: 1,
            calm_since_ms: None,
        }
    }

    /// What is kept. What another version kept in another form is no trouble.
    pub(crate) fn read(key: &str) -> Result<Option<Self>, kv::Error> {
        match kv::read(key) {
            Err(kv::Error::Format(_)) => Ok(None),
            read => read,
        }
    }

    pub(crate) fn write(&self, key: &str) -> Result<(), kv::Error> {
        kv::write(key, self)
    }
}

/// The key of the trouble that an event belongs to.
pub(crate) fn key(event: &Event) -> String {
    let family = event.kind.split('.').next().unwrap_or_default();
    format!("{PREFIX}{}/{family}", event.pipeline.as_deref().unwrap_or_default())
}

/// What an event says of its family.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Bad,
    Good,
    Neither,
}

/// By its kind; of `health.changed`, by the level that it came to.
pub(crate) fn meaning(event: &Event) -> Meaning {
    match event.kind.as_str() {
        "stream.stalled"
        | "stream.ended"
        | "source.failed"
        | "source.refused"
        | "source.budget-spent"
        | "recording.paused"
        | "config.rejected"
        | "plugin.refused"
        | "plugin.failed"
        | "plugin.disabled" => Meaning::Bad,
        "stream.started" | "stream.recovered" | "source.switched" | "recording.resumed"
        | "config.reloaded" | "plugin.loaded" => Meaning::Good,
        "health.changed" => {
            let detail = event.read::<Value>().unwrap_or_default();
            if detail["to"] == "good" { Meaning::Good } else { Meaning::Bad }
        }
        _ => Meaning::Neither,
    }
}
