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
    key_of(event, family(event))
}

/// The keys of the troubles that a good event ends. A stream that plays has a source that works.
pub(crate) fn ended_by(event: &Event) -> Vec<String> {
    let families: &[&str] = if family(event) == "stream" { &["stream", "source"] } else { &[family(event)] };
    families.iter().map(|family| key_of(event, family)).collect()
}

fn family(event: &Event) -> &str {
    event.kind.split('.').next().unwrap_or_default()
}

fn key_of(event: &Event, family: &str) -> String {
    format!("{PREFIX}{}/{family}", event.pipeline.as_deref().unwrap_or_default())
}

/// What an event says of its family.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Bad,
    Good,
    Neither,
    /// It was meant to be, or says nothing new.
    Nothing,
}

/// By its kind, and by the particulars of those that can be either.
pub(crate) fn meaning(event: &Event) -> Meaning {
    match event.kind.as_str() {
        "stream.stalled"
        | "source.failed"
        | "source.refused"
        | "source.budget-spent"
        | "recording.paused"
        | "config.rejected"
        | "plugin.refused"
        | "plugin.failed"
        | "plugin.disabled" => Meaning::Bad,
        "stream.started" | "stream.recovered" | "source.switched" | "recording.resumed" | "plugin.loaded" => {
            Meaning::Good
        }
        "stream.ended" => match word(event, "reason").as_str() {
            "removed" => Meaning::Good, // with its pipeline its troubles are over
            "shutdown" => Meaning::Nothing,
            _ => Meaning::Bad,
        },
        "config.reloaded" => match word(event, "outcome").as_str() {
            "applied" | "unchanged" => Meaning::Good,
            _ => Meaning::Nothing, // `config.rejected` came too
        },
        "health.changed" => match word(event, "to").as_str() {
            "good" => Meaning::Good,
            _ => Meaning::Bad,
        },
        _ => Meaning::Neither,
    }
}

fn word(event: &Event, key: &str) -> String {
    let detail = event.read::<Value>().unwrap_or_default();
    detail[key].as_str().unwrap_or_default().to_owned()
}
