//! What the API shows, as JSON. The command line reads the same types.

use super::HealthBrief;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_core::conf::{Problem, Severity};
use sluice_core::pipeline::{LastSwitch, Pushed, Shared, SourceStatus};

pub(crate) use super::rendition::RenditionView;

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PipelineView {
    /// Its name.
    pub(crate) name: String,
    /// starting, live, stalled, failed or stopped.
    pub(crate) state: String,
    /// Why. While live empty, or what a sink cannot do with what comes.
    pub(crate) reason: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// The stage that feeds it, as `source 1 hls`.
    pub(crate) source: Option<String>,
    /// Its sources, in the order of the chain.
    pub(crate) sources: Vec<SourceView>,
    /// The last switch of sources; none since the start.
    pub(crate) last_switch: Option<SwitchView>,
    /// Switches that the budget has left.
    pub(crate) switches_left: u32,
    /// What went wrong last.
    pub(crate) last_fault: Option<FaultView>,
    /// The target duration of its playlists, in seconds.
    pub(crate) target_duration_seconds: Option<u64>,
    /// The longest part of its segments, in seconds; none where the source is not paced in parts.
    pub(crate) part_target_seconds: Option<f64>,
    /// Its windows.
    pub(crate) renditions: Vec<RenditionView>,
    /// Where it is served.
    pub(crate) sinks: Vec<SinkView>,
    /// What its sinks that push are doing.
    #[serde(default)]
    pub(crate) pushing: Vec<PushView>,
    /// Its health; none before the first score.
    #[serde(default)]
    pub(crate) health: Option<HealthBrief>,
}

/// A source of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SourceView {
    /// Its name within the pipeline, as metrics have it: `source 1 hls`.
    pub(crate) name: String,
    /// active, starting, standby, proving, resting or refused.
    pub(crate) state: String,
    /// Why it rests or was refused; may be empty.
    pub(crate) reason: String,
    /// Until when it rests.
    pub(crate) until: Option<Timestamp>,
}

/// A switch of sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SwitchView {
    /// When.
    pub(crate) time: Timestamp,
    /// The source that was left.
    pub(crate) from: Option<String>,
    /// The source that was taken.
    pub(crate) to: String,
    /// The label under which metrics count it.
    pub(crate) reason: String,
    /// Why, in words.
    pub(crate) message: String,
    /// How long no media came.
    pub(crate) gap_seconds: f64,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultView {
    /// When.
    pub(crate) time: Timestamp,
    /// The label under which metrics count it.
    pub(crate) kind: String,
    /// In words.
    pub(crate) message: String,
}

/// A sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SinkView {
    /// Its name within the pipeline, as metrics have it.
    pub(crate) name: String,
    /// Its path.
    pub(crate) path: String,
    /// Viewers now.
    pub(crate) viewers: i64,
    /// Bytes handed to viewers' connections.
    pub(crate) bytes: u64,
}

/// A sink that pushes, as a recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PushView {
    /// Its name within the pipeline, as metrics have it.
    pub(crate) name: String,
    /// What it writes to.
    pub(crate) target: String,
    /// waiting, running, paused, failed or stopped.
    pub(crate) state: String,
    /// Why; empty while it runs.
    pub(crate) reason: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// The object that is being written.
    pub(crate) current: Option<String>,
    /// The bytes of all that is kept.
    pub(crate) bytes: u64,
    /// The finished objects that are kept.
    pub(crate) objects: u64,
    /// When the oldest of all began.
    pub(crate) oldest: Option<Timestamp>,
    /// Seconds of media that were lost since it started.
    pub(crate) lost_seconds: f64,
}

impl From<&Pushed> for PushView {
    fn from(pushed: &Pushed) -> Self {
        let status = pushed.status.borrow().clone();
        Self {
            name: pushed.stage.to_string(),
            target: pushed.target.clone(),
            state: status.state.word().to_owned(),
            reason: status.reason,
            since: status.since,
            current: status.current,
            bytes: status.bytes,
            objects: status.objects,
            oldest: status.oldest,
            lost_seconds: status.lost_seconds,
        }
    }
}

impl PipelineView {
    /// What `shared` knows. `sinks` are names with paths.
    pub(crate) fn of<'a>(shared: &Shared, sinks: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let status = shared.status().borrow().clone();
        let chain = shared.chain();
        let feeding = chain.sources.iter().find(|source| source.feeds);
        let set = shared.renditions();
        let fed = shared.fed();
        let renditions = set.iter().flat_map(|set| set.renditions.iter().enumerate());
        let renditions = renditions.map(|(at, one)| RenditionView::of(one, fed.get(at))).collect();
        let sinks = sinks.into_iter().map(|(name, path)| {
            let metrics = shared.metrics.sink(name);
            let (name, path) = (name.to_owned(), path.to_owned());
            SinkView { name, path, viewers: metrics.viewers.get(), bytes: metrics.bytes.get() }
        });
        Self {
            name: shared.name.to_string(),
            state: status.state.word().to_owned(),
            reason: status.reason,
            since: status.since,
            source: feeding.map(|source| source.stage.to_string()),
            sources: chain.sources.iter().map(SourceView::from).collect(),
            last_switch: chain.last_switch.as_ref().map(SwitchView::from),
            switches_left: chain.switches_left,
            last_fault: shared.last_fault().map(|fault| FaultView {
                time: fault.0,
                kind: fault.1.kind.label().to_owned(),
                message: fault.1.to_string(),
            }),
            target_duration_seconds: set.as_ref().map(|set| set.target_duration().as_secs()),
            part_target_seconds: set
                .as_ref()
                .and_then(|set| set.part_target)
                .map(|target| target.as_secs_f64()),
            renditions,
            sinks: sinks.collect(),
            pushing: Vec::new(),
            health: HealthBrief::of(shared),
        }
    }

    /// Viewers of all sinks.
    pub(crate) fn viewers(&self) -> i64 {
        self.sinks.iter().map(|sink| sink.viewers).sum()
    }
}

impl From<&SourceStatus> for SourceView {
    fn from(source: &SourceStatus) -> Self {
        Self {
            name: source.stage.to_string(),
            state: source.state.word().to_owned(),
            reason: source.reason.clone(),
            until: source.until,
        }
    }
}

impl From<&LastSwitch> for SwitchView {
    fn from(last: &LastSwitch) -> Self {
        Self {
            time: last.time,
            from: last.from.as_ref().map(ToString::to_string),
            to: last.to.to_string(),
            reason: last.reason.to_owned(),
            message: last.words.clone(),
            gap_seconds: last.gap_seconds,
        }
    }
}

/// How the configuration stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfigView {
    /// The directory.
    pub(crate) directory: String,
    /// The files that were read, in order.
    pub(crate) files: Vec<FileView>,
    /// What is wrong with what is on disk.
    pub(crate) problems: Vec<ProblemView>,
    /// What the last reload did; none since the start.
    pub(crate) last_reload: Option<ReloadView>,
}

/// A file of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileView {
    /// Its name within the directory.
    pub(crate) name: String,
    /// Whether it has errors, so that its last good pipelines run on.
    pub(crate) refused: bool,
}

/// A problem of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProblemView {
    /// error or warning.
    pub(crate) severity: String,
    /// The class, as `unknown` or `value`.
    pub(crate) code: String,
    /// The file.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column, from 1.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do; may be empty.
    pub(crate) help: String,
}

impl From<&Problem> for ProblemView {
    fn from(problem: &Problem) -> Self {
        let start = problem.place.start();
        let severity = match problem.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        Self {
            severity: severity.to_owned(),
            code: problem.code.word().to_owned(),
            file: problem.place.file.name.to_string(),
            line: start.line,
            column: start.column,
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    }
}

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The plan was applied whole.
    Applied,
    /// Files with problems were held back; what else changed was applied.
    Partial,
    /// Nothing had changed.
    Unchanged,
    /// Nothing was applied: it has problems, or something could not be prepared.
    Refused,
    /// Nothing was to be applied.
    DryRun,
}

impl Outcome {
    /// As the API and the log write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Partial => "partial",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::DryRun => "dry-run",
        }
    }
}

/// What a reload did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReloadView {
    /// When.
    pub(crate) time: Timestamp,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Why it was refused, where that is not a problem of a file: a port that is taken, a certificate.
    pub(crate) error: Option<String>,
    /// What changes, for each pipeline that is not kept as it is.
    pub(crate) changes: Vec<ChangeView>,
    /// What differs from what the daemon was started with and takes a restart: `admin`, `state-dir`, `log format`.
    #[serde(default)]
    pub(crate) restart: Vec<String>,
    /// What is wrong with what is on disk.
    pub(crate) problems: Vec<ProblemView>,
}

impl ReloadView {
    /// Whether something forbids to apply all of it.
    pub(crate) fn has_errors(&self) -> bool {
        self.error.is_some() || self.errors() > 0
    }

    /// Problems that are more than warnings.
    pub(crate) fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == "error").count()
    }
}

/// One change of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeView {
    /// The pipeline.
    pub(crate) pipeline: String,
    /// start, retune, replace or stop.
    pub(crate) change: String,
    /// What differs, as `buffer` or `sink 1 hls`.
    pub(crate) what: Vec<String>,
    /// Viewers that it has now.
    pub(crate) viewers: i64,
}

/// One thing that must hold before viewers are sent here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// Its name: `listeners`, `configuration`, `draining`.
    pub(crate) name: String,
    /// Whether it holds.
    pub(crate) ok: bool,
    /// More about it; may be empty.
    pub(crate) detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_writes_an_outcome_as_the_api_does() {
        use Outcome::{Applied, DryRun, Partial, Refused, Unchanged};
        for outcome in [Applied, Partial, Unchanged, Refused, DryRun] {
            assert_eq!(serde_json::json!(outcome), outcome.word());
        }
    }
}
