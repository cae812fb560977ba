//! A plugin as the API shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::host::Inner;
use super::record::Record;

/// A plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PluginView {
    /// The name of its file without `.wasm`.
    pub(crate) name: String,
    /// `ready`, `refused`, `disabled`, or `missing` where there is no file.
    pub(crate) state: String,
    /// Why it is not called, or why the newest file is not what is called; empty for neither.
    pub(crate) reason: String,
    /// Since when it is disabled.
    pub(crate) disabled_since: Option<Timestamp>,
    /// What is called; none where nothing is.
    pub(crate) program: Option<ProgramView>,
    /// What its node grants.
    pub(crate) grants: GrantsView,
    /// The pipelines that use it, the empty name for uses outside of pipelines; once for each use.
    pub(crate) uses: Vec<String>,
    /// Calls since the daemon started.
    pub(crate) calls: u64,
    /// Its faults since then, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    /// The newest of them.
    pub(crate) last_fault: Option<FaultView>,
    /// Its instances that live.
    pub(crate) instances: i64,
    /// The memory of all of them.
    pub(crate) memory_bytes: i64,
}

/// A plugin's file, as it is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProgramView {
    /// `scorer` or `handler`.
    pub(crate) kind: String,
    /// As its author counts.
    pub(crate) version: String,
    /// What it says of itself.
    pub(crate) about: String,
    /// The SHA-256 of the file.
    pub(crate) sha256: String,
    /// The size of the file.
    pub(crate) size_bytes: u64,
    /// When it was taken up.
    pub(crate) loaded: Option<Timestamp>,
    /// The interfaces that it asks for.
    pub(crate) imports: Vec<String>,
}

/// What a plugin is granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GrantsView {
    /// The servers that it may ask.
    pub(crate) http: Vec<String>,
    /// What it may keep; 0 for nothing.
    pub(crate) kv_bytes: u64,
    /// The memory of an instance.
    pub(crate) memory_bytes: u64,
    /// Its own time in a call.
    pub(crate) deadline_seconds: f64,
}

/// A fault of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultView {
    /// When.
    pub(crate) time: Timestamp,
    /// `trap`, `deadline`, `memory`, `invalid` or `init`.
    pub(crate) kind: String,
    /// What went wrong.
    pub(crate) words: String,
    /// In whose service.
    pub(crate) pipeline: Option<String>,
}

impl PluginView {
    pub(super) fn of(inner: &Inner, record: &Record) -> Self {
        let uses = inner.uses(&record.name).into_iter();
        let grants = inner.grants(&record.name);
        let (instances, memory_bytes) = inner.metrics.living(&record.name);
        let state = record.state();
        let program = state.program.as_ref().map(|(program, _)| ProgramView {
            kind: program.kind.word().to_owned(),
            version: program.description.version.clone(),
            about: program.description.about.clone(),
            sha256: program.hash.clone(),
            size_bytes: program.size_bytes as u64,
            loaded: state.loaded,
            imports: program.imports.clone(),
        });
        let word = match (&state.disabled, &program, &state.refusal) {
            (Some(_), _, _) => "disabled",
            (None, Some(_), _) => "ready",
            (None, None, Some(_)) => "refused",
            (None, None, None) => "missing",
        };
        let disabled = state.disabled.as_ref();
        let reason = disabled.map(|disabled| disabled.reason.clone()).or_else(|| state.refusal.clone());
        Self {
            name: record.name.to_string(),
            state: word.to_owned(),
            reason: reason.as_deref().unwrap_or_default().to_owned(),
            disabled_since: disabled.map(|disabled| disabled.since),
            program,
            grants: GrantsView {
                http: grants.http.iter().map(ToString::to_string).collect(),
                kv_bytes: grants.kv_bytes,
                memory_bytes: grants.memory_bytes as u64,
                deadline_seconds: grants.deadline.as_secs_f64(),
            },
            uses: uses.map(|wanted| wanted.pipeline.as_deref().unwrap_or_default().to_owned()).collect(),
            calls: state.calls,
            faults: state.faults.iter().map(|(kind, count)| (kind.word().to_owned(), *count)).collect(),
            last_fault: state.last_fault.as_ref().map(|last| FaultView {
                time: last.time,
                kind: last.fault.kind.word().to_owned(),
                words: last.fault.words.clone(),
                pipeline: last.pipeline.as_deref().map(str::to_owned),
            }),
            instances,
            memory_bytes,
        }
    }
}
