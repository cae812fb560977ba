//! What a new plan changes, as a value: for the log, for `reload --dry-run`, and for whoever applies it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{PipelinePlan, Plan, Server};

/// What became of one enabled pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It starts.
    Start(PipelinePlan),
    /// It goes on as it is.
    Keep(Arc<str>),
    /// It is changed in place: its windows, numbers and viewers stay.
    Retune {
        /// As it is to be.
        to: PipelinePlan,
        /// What differs; at least one.
        parts: Vec<Part>,
    },
    /// Another takes its place, with its numbers.
    Replace {
        /// As it is to be.
        to: PipelinePlan,
        /// Why it cannot be changed in place.
        reason: String,
    },
    /// It stops: it is gone, or disabled.
    Stop(Arc<str>),
}

/// A part of a pipeline that can be changed in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A source.
    Source,
    /// The middleware of a source.
    SourceLayers,
    /// When it fails over.
    Failover,
    /// The bounds of the buffer.
    Buffer,
    /// A sink.
    Sinks,
    /// The middleware of a sink.
    SinkLayers,
    /// What scores its health.
    Health,
    /// What handles its events.
    Handlers,
}

/// A part of the server, or of what stands beside it and the pipelines, that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerPart {
    /// The addresses for viewers.
    Listen,
    /// The control side.
    Admin,
    /// The directory of state.
    StateDir,
    /// The directory of plugins.
    Plugins,
    /// What plugins are granted.
    Grants,
    /// What handles the events of the daemon and of every pipeline.
    Handlers,
    /// The log.
    Log,
    /// The certificate.
    Tls,
    /// Whose `X-Forwarded-For` counts.
    TrustedProxies,
    /// The base of absolute URLs.
    PublicUrl,
    /// Which pages may read.
    Cors,
    /// The time to finish.
    Drain,
    /// The limits.
    Limits,
}

/// Everything that a new plan changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// What differs of the server and of what stands beside it and the pipelines.
    pub server: Vec<ServerPart>,
    /// One change for each pipeline that is enabled before or after, in the order of names.
    pub pipelines: Vec<Change>,
}

impl Diff {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.server.is_empty() && self.pipelines.iter().all(|change| matches!(change, Change::Keep(_)))
    }
}

impl Change {
    /// The pipeline that it is about.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Start(to) | Self::Retune { to, .. } | Self::Replace { to, .. } => &to.name,
            Self::Keep(name) | Self::Stop(name) => name,
        }
    }

    /// What it is, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Keep(_) => "keep",
            Self::Retune { .. } => "retune",
            Self::Replace { .. } => "replace",
            Self::Stop(_) => "stop",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word(), self.name())?;
        match self {
            Self::Retune { parts, .. } => {
                let words: Vec<_> = parts.iter().map(|part| part.word()).collect();
                write!(f, " ({})", words.join(", "))
            }
            Self::Replace { reason, .. } => write!(f, " ({reason})"),
            _ => Ok(()),
        }
    }
}

impl Part {
    /// What it is, in a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::SourceLayers => "source middleware",
            Self::Failover => "failover",
            Self::Buffer => "buffer",
            Self::Sinks => "sinks",
            Self::SinkLayers => "sink middleware",
            Self::Health => "health",
            Self::Handlers => "event handlers",
        }
    }
}

impl ServerPart {
    /// The node in KDL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Admin => "admin",
            Self::StateDir => "state-dir",
            Self::Plugins => "plugins",
            Self::Grants => "plugin",
            Self::Handlers => "on",
            Self::Log => "log",
            Self::Tls => "tls",
            Self::TrustedProxies => "trusted-proxies",
            Self::PublicUrl => "public-url",
            Self::Cors => "cors",
            Self::Drain => "drain",
            Self::Limits => "limits",
        }
    }
}

/// What `new` changes in `old`.
pub fn diff(old: &Plan, new: &Plan) -> Diff {
    let running: BTreeMap<&Arc<str>, &PipelinePlan> = old.enabled().map(|one| (&one.name, one)).collect();
    let wanted: BTreeMap<&Arc<str>, &PipelinePlan> = new.enabled().map(|one| (&one.name, one)).collect();
    let stopped = running.keys().filter(|name| !wanted.contains_key(*name));
    let stopped = stopped.map(|name| Change::Stop(Arc::clone(name)));
    let others = wanted.values().map(|to| match running.get(&to.name) {
        Some(from) => change(from, to),
        None => Change::Start((*to).clone()),
    });
    let mut pipelines: Vec<Change> = stopped.chain(others).collect();
    pipelines.sort_by(|one, other| one.name().cmp(other.name()));
    Diff { server: diff_server(old, new), pipelines }
}

/// The pipelines that run once `changes` are made to those that run in `old`.
pub fn apply(old: &Plan, changes: &[Change]) -> BTreeMap<Arc<str>, PipelinePlan> {
    let mut running: BTreeMap<_, _> = old.enabled().map(|one| (one.name.clone(), one.clone())).collect();
    for change in changes {
        match change {
            Change::Keep(_) => {}
            Change::Stop(name) => drop(running.remove(name)),
            Change::Start(to) | Change::Retune { to, .. } | Change::Replace { to, .. } => {
                running.insert(to.name.clone(), to.clone());
            }
        }
    }
    running
}

fn change(from: &PipelinePlan, to: &PipelinePlan) -> Change {
    let (old, new) = (from.buffer.spec.kind(), to.buffer.spec.kind());
    if old != new {
        return Change::Replace { to: to.clone(), reason: format!("buffer {old} becomes {new}") };
    }
    let differ = |part, differs: bool| differs.then_some(part);
    let parts: Vec<Part> = [
        differ(Part::Source, !same(&from.sources, &to.sources, |one, other| one.same_spec(other))),
        differ(Part::SourceLayers, !same(&from.sources, &to.sources, |one, other| one.same_layers(other))),
        differ(Part::Failover, from.failover != to.failover),
        differ(Part::Buffer, from.buffer != to.buffer),
        differ(Part::Sinks, !same(&from.sinks, &to.sinks, |one, other| one.same_spec(other))),
        differ(Part::SinkLayers, !same(&from.sinks, &to.sinks, |one, other| one.same_layers(other))),
        differ(Part::Health, from.health != to.health),
        differ(Part::Handlers, from.handlers != to.handlers),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { Change::Keep(to.name.clone()) } else { Change::Retune { to: to.clone(), parts } }
}

fn same<T>(old: &[T], new: &[T], equal: impl Fn(&T, &T) -> bool) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| equal(old, new))
}

fn diff_server(one: &Plan, other: &Plan) -> Vec<ServerPart> {
    let (old, new): (&Server, &Server) = (&one.server, &other.server);
    let differ = |part, differs: bool| differs.then_some(part);
    [
        differ(ServerPart::Listen, old.listen != new.listen),
        differ(ServerPart::Admin, old.admin != new.admin),
        differ(ServerPart::StateDir, old.state_dir != new.state_dir),
        differ(ServerPart::Plugins, old.plugins != new.plugins),
        differ(ServerPart::Grants, one.plugins != other.plugins),
        differ(ServerPart::Handlers, one.handlers != other.handlers),
        differ(ServerPart::Log, old.log != new.log),
        differ(ServerPart::Tls, old.tls != new.tls),
        differ(ServerPart::TrustedProxies, old.trusted_proxies != new.trusted_proxies),
        differ(ServerPart::PublicUrl, old.public_url != new.public_url),
        differ(ServerPart::Cors, old.cors != new.cors),
        differ(ServerPart::Drain, old.drain != new.drain),
        differ(ServerPart::Limits, old.limits != new.limits),
    ]
    .into_iter()
    .flatten()
    .collect()
}
