//! Every kind of event, in one table: what is published, what a pattern can match, and what operators read of it.

/// What a kind of event happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To a pipeline, which the event names.
    Pipeline,
    /// To the daemon.
    Daemon,
    /// To either: the event names a pipeline where there is one.
    Either,
}

/// A kind of event.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name, as `source.switched`.
    pub name: &'static str,
    /// When it is published, and what its detail holds.
    pub about: &'static str,
    /// What it happens to.
    pub scope: Scope,
}

/// A pipeline moved to another state.
pub const PIPELINE_STATE: &str = "pipeline.state";
/// The first media came to a pipeline.
pub const STREAM_STARTED: &str = "stream.started";
/// A stream is over.
pub const STREAM_ENDED: &str = "stream.ended";
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
/// The health of a pipeline crossed a bound.
pub const HEALTH_CHANGED: &str = "health.changed";
/// A pipeline that nobody watched has a viewer.
pub const VIEWER_FIRST: &str = "viewer.first";
/// The last viewer of a pipeline left.
pub const VIEWER_LAST: &str = "viewer.last";
/// A recorder began a file.
pub const RECORDING_STARTED: &str = "recording.started";
/// A recorder finished a file.
pub const RECORDING_FINISHED: &str = "recording.finished";
/// A recorder cannot write.
pub const RECORDING_PAUSED: &str = "recording.paused";
/// A recorder writes again.
pub const RECORDING_RESUMED: &str = "recording.resumed";
/// The configuration was read again.
pub const CONFIG_RELOADED: &str = "config.reloaded";
/// Part of a changed configuration, or all of it, was not applied.
pub const CONFIG_REJECTED: &str = "config.rejected";
/// A plugin can be used, or its new version is.
pub const PLUGIN_LOADED: &str = "plugin.loaded";
/// The file of a plugin was refused.
pub const PLUGIN_REFUSED: &str = "plugin.refused";
/// A call of a plugin failed.
pub const PLUGIN_FAILED: &str = "plugin.failed";
/// A plugin failed too often and is left alone.
pub const PLUGIN_DISABLED: &str = "plugin.disabled";
/// Something that a plugin asked for was done, or refused.
pub const PLUGIN_ACTION: &str = "plugin.action";
/// The daemon serves.
pub const DAEMON_STARTED: &str = "daemon.started";
/// The daemon was told to stop.
pub const DAEMON_STOPPING: &str = "daemon.stopping";

/// Every kind of event.
pub const KINDS: &[Kind] = &[
    of_pipeline(STREAM_STARTED, "The first media came. Detail: source, renditions."),
    of_pipeline(
        STREAM_ENDED,
        "The stream is over. Detail: reason (ended by the origin, removed from the configuration, shutdown of the daemon), duration_ms, source.",
    ),
    of_pipeline(STREAM_STALLED, "Media stopped coming to a live stream. Detail: from, to."),
    of_pipeline(STREAM_RECOVERED, "Media comes again. Detail: from, to."),
    of_pipeline(PIPELINE_STATE, "The pipeline moved to another state. Detail: from, to."),
    of_pipeline(SOURCE_SWITCHED, "Another source feeds the pipeline. Detail: from, to, reason, and the gap."),
    of_pipeline(SOURCE_FAILED, "A source went down, or was left. Detail: source, and how it stands."),
    of_pipeline(SOURCE_REFUSED, "A source cannot take the place of what is served. Detail: source."),
    of_pipeline(
        SOURCE_BUDGET_SPENT,
        "No switches are left for now. Detail: source, the one that would be next.",
    ),
    of_pipeline(
        HEALTH_CHANGED,
        "The health score crossed warn-below or fail-below. Detail: from, to, score.",
    ),
    of_pipeline(VIEWER_FIRST, "Somebody watches a pipeline that nobody watched. Detail: viewers."),
    of_pipeline(VIEWER_LAST, "Nobody watches any more. Detail: duration_ms."),
    of_pipeline(RECORDING_STARTED, "A recorder began a file. Detail: sink, dir, file."),
    of_pipeline(RECORDING_FINISHED, "A recorder finished a file. Detail: sink, dir, file, bytes, seconds."),
    of_pipeline(RECORDING_PAUSED, "A recorder cannot write. Detail: sink, dir, reason."),
    of_pipeline(RECORDING_RESUMED, "A recorder writes again. Detail: sink, dir."),
    of_daemon(CONFIG_RELOADED, "The configuration was read again. Detail: cause, outcome."),
    of_daemon(
        CONFIG_REJECTED,
        "A changed configuration was not applied, or not all of it. Detail: problems.",
    ),
    of_daemon(PLUGIN_LOADED, "A plugin can be used, or its new version is. Detail: plugin, version."),
    of_daemon(
        PLUGIN_REFUSED,
        "The file of a plugin was refused; the version before goes on. Detail: plugin.",
    ),
    of_either(PLUGIN_FAILED, "A call of a plugin failed. Detail: plugin, outcome."),
    of_either(PLUGIN_DISABLED, "A plugin failed too often and is left alone for a while. Detail: plugin."),
    of_pipeline(PLUGIN_ACTION, "A plugin asked for an action. Detail: plugin, action, outcome."),
    of_daemon(DAEMON_STARTED, "The daemon serves. Detail: version."),
    of_daemon(
        DAEMON_STOPPING,
        "The daemon was told to stop; handlers have the drain time. Detail: drain_ms.",
    ),
];

const fn of_pipeline(name: &'static str, about: &'static str) -> Kind {
    Kind { name, about, scope: Scope::Pipeline }
}

const fn of_daemon(name: &'static str, about: &'static str) -> Kind {
    Kind { name, about, scope: Scope::Daemon }
}

const fn of_either(name: &'static str, about: &'static str) -> Kind {
    Kind { name, about, scope: Scope::Either }
}
