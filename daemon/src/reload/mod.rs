//! Bringing the daemon in line with its files: read, settle, prepare, apply, swap, drain.

mod acting;
mod board;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sluice_core::conf::Severity;
use sluice_core::event::{self, Events, Handling};
use sluice_core::pipeline::{EndReason, Fleet, Pipeline};
use sluice_core::plan::{self, Change, Good, Plan, Server, ServerPart, Settled};
use tokio_util::task::TaskTracker;

pub(crate) use acting::handling;
pub(crate) use board::Board;

use crate::api::view::{ChangeView, ConfigView, FileView, Outcome, ProblemView, ReloadView};
use crate::edge::{Cors, Edge, EdgeMetrics, Identity, Limits, Listener, Routes, Settings};
use crate::files;
use crate::kinds::KINDS;
use crate::plugin::PluginHost;
use crate::telemetry::{ConfigMetrics, LogHandle};

/// How long reading the directory and its secrets may take: a file system that hangs must not hold up signals.
const LONGEST_READING: Duration = Duration::from_secs(10);

/// So many problems are told in an event; the API has them all.
const TOLD_PROBLEMS: usize = 20;

/// Why a reload could not be prepared. All is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// The directory cannot be read.
    #[error("the configuration cannot be read")]
    Read(#[source] std::io::Error),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] crate::edge::BindError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] crate::edge::IdentityError),
    /// The log's level cannot be changed.
    #[error(transparent)]
    Log(#[from] crate::telemetry::LogError),
}

/// What the reloader is made of.
pub(crate) struct Parts {
    pub(crate) dir: PathBuf,
    pub(crate) fleet: Fleet,
    pub(crate) edge: Edge,
    pub(crate) edge_metrics: Arc<EdgeMetrics>,
    pub(crate) routes: Arc<ArcSwap<Routes>>,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: ConfigMetrics,
    pub(crate) events: Events,
    pub(crate) handling: Handling,
    pub(crate) log: LogHandle,
    pub(crate) plugins: PluginHost,
}

/// Owns what runs, and changes it. One reload at a time: it is called from one task.
pub(crate) struct Reloader {
    parts: Parts,
    good: Good,
    listeners: Vec<(SocketAddr, Listener)>,
    leaving: TaskTracker,
    /// What the daemon was started with.
    started: Server,
}

/// What a change needs and what can fail, made before anything is changed.
struct Prepared {
    listeners: Vec<(SocketAddr, Listener)>,
    identity: Option<Arc<Identity>>,
}

impl Reloader {
    pub(crate) fn new(parts: Parts) -> Self {
        let (listeners, leaving, started) = (Vec::new(), TaskTracker::new(), Server::default());
        Self { parts, good: Good::default(), listeners, leaving, started }
    }

    /// Where viewers connect, ports filled in.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|(_, listener)| listener.local_addr())
    }

    /// The plan in force.
    pub(crate) fn plan(&self) -> &Plan {
        &self.good.plan
    }

    /// The first plan.
    ///
    /// # Errors
    /// When an address cannot be bound or a certificate not be used; nothing runs then.
    pub(crate) fn start(&mut self, settled: Settled) -> Result<(), PrepareError> {
        let prepared = self.prepare(&settled.good.plan.server)?;
        self.good.plan.server = settled.good.plan.server.clone();
        self.started = settled.good.plan.server.clone();
        self.apply(settled, prepared, "start");
        self.parts.board.set_listening();
        let detail = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
        self.parts.events.publish(event::DAEMON_STARTED, None, None, detail);
        Ok(())
    }

    /// Reads the files again and applies what changed. The outcome is logged, counted, posted and returned.
    pub(crate) async fn reload(&mut self, cause: &'static str, dry_run: bool) -> ReloadView {
        let settled = match self.settle().await {
            Ok(settled) => settled,
            Err(error) if dry_run => return refusal(&error, &self.parts.board.config()),
            Err(error) => return self.refuse(&error, cause),
        };
        if dry_run {
            let changes = self.touched(&settled.good.plan);
            return self.view(Outcome::DryRun, changes, &settled);
        }
        match self.prepare(&settled.good.plan.server) {
            Ok(prepared) => self.apply(settled, prepared, cause),
            Err(error) => self.refuse(&error, cause),
        }
    }

    async fn settle(&self) -> Result<Settled, PrepareError> {
        let (dir, good) = (self.parts.dir.clone(), self.good.clone());
        let settling = tokio::task::spawn_blocking(move || {
            let current = files::read_dir(&dir)?;
            Ok(plan::settle(&current, &good, &KINDS, &files::SystemLookup))
        });
        let settled = tokio::time::timeout(LONGEST_READING, settling).await;
        let settled = settled.map_err(std::io::Error::from).map_err(PrepareError::Read)?;
        settled.map_err(std::io::Error::other).flatten().map_err(PrepareError::Read)
    }

    fn prepare(&self, server: &Server) -> Result<Prepared, PrepareError> {
        let before = &self.good.plan.server;
        let identity = identity(server)?;
        let fresh =
            server.listen.iter().filter(|address| self.listeners.iter().all(|(known, _)| known != *address));
        let bind = |address: &SocketAddr| Ok((*address, self.parts.edge.listen(*address, identity.clone())?));
        let listeners = fresh.map(bind).collect::<Result<_, PrepareError>>()?;
        if server.log.level != before.log.level {
            self.parts.log.set(server.log.level)?; // the last that can fail, and changes something
        }
        Ok(Prepared { listeners, identity })
    }

    fn apply(&mut self, settled: Settled, prepared: Prepared, cause: &'static str) -> ReloadView {
        let diff = plan::diff(&self.good.plan, &settled.good.plan);
        let changes = self.touched(&settled.good.plan);
        self.parts.plugins.apply(&settled.good.plan);
        let plan = &settled.good.plan;
        self.parts.handling.retune(acting::subscriptions(plan), acting::allowed(plan));
        let left = self.parts.fleet.apply(&settled.good.plan);
        self.swap_routes();
        self.stop_all(left, EndReason::Removed);
        self.change_server(&diff.server, &settled.good.plan.server, prepared);
        self.parts.board.post(&self.parts.fleet);
        for change in &changes {
            let what = (!change.what.is_empty()).then(|| change.what.join(", "));
            tracing::info!(
                pipeline = change.pipeline,
                change = change.change,
                what,
                viewers = change.viewers,
                "applied"
            );
        }
        for part in &diff.server {
            tracing::info!(node = part.word(), "applied to the server");
        }
        for problem in settled.problems.iter() {
            match problem.severity {
                Severity::Error => tracing::error!(%problem, "the configuration has a problem"),
                Severity::Warning => tracing::warn!(%problem, "the configuration has a problem"),
            }
        }
        let outcome = match (settled.problems.are_fatal(), diff.is_empty()) {
            (true, true) => Outcome::Refused,
            (true, false) => Outcome::Partial,
            (false, true) => Outcome::Unchanged,
            (false, false) => Outcome::Applied,
        };
        let view = self.view(outcome, changes, &settled);
        let files = files_in_force(&settled);
        self.good = settled.good;
        let directory = self.parts.dir.display().to_string();
        let problems = view.problems.clone();
        self.post(ConfigView { directory, files, problems, last_reload: Some(view.clone()) }, cause);
        view
    }

    fn change_server(&mut self, parts: &[ServerPart], server: &Server, prepared: Prepared) {
        self.parts.edge.retune(settings(server));
        self.listeners.retain(|(address, _)| server.listen.contains(address));
        if parts.contains(&ServerPart::Tls) {
            for (address, listener) in &mut self.listeners {
                if let Err(error) = listener.identify(prepared.identity.clone()) {
                    tracing::error!(%address, %error, "the certificate was not changed");
                }
            }
        }
        self.listeners.extend(prepared.listeners);
        for node in fixed(&self.good.plan.server, server) {
            tracing::warn!(node, "this takes effect with a restart only");
        }
    }

    fn view(&self, outcome: Outcome, changes: Vec<ChangeView>, settled: &Settled) -> ReloadView {
        let problems = settled.problems.iter().map(ProblemView::from).collect();
        let restart = fixed(&self.started, &settled.good.plan.server).map(str::to_owned).collect();
        ReloadView { time: Timestamp::now(), outcome, error: None, changes, restart, problems }
    }

    fn swap_routes(&self) {
        let mut routes = Routes::default();
        for (pipeline, mount) in self.parts.fleet.mounts() {
            let target = (pipeline.clone(), mount.stage.clone(), mount.service.clone());
            routes.mount(&mount.path, target, &self.parts.edge_metrics);
        }
        self.parts.routes.store(Arc::new(routes));
    }

    fn stop_all(&self, left: Vec<Pipeline>, reason: EndReason) {
        for pipeline in left {
            self.leaving.spawn(pipeline.stop(reason));
        }
    }

    fn touched(&self, next: &Plan) -> Vec<ChangeView> {
        let changes = plan::diff(&self.good.plan, next).pipelines.into_iter();
        let changes = changes.filter(|change| !matches!(change, Change::Keep(_)));
        let touched = changes.map(|change| ChangeView {
            pipeline: change.name().to_string(),
            change: change.word().to_owned(),
            viewers: self.parts.board.viewers(change.name()),
            what: match change {
                Change::Retune { parts, .. } => parts.iter().map(|part| part.word().to_owned()).collect(),
                Change::Replace { reason, .. } => vec![reason],
                _ => Vec::new(),
            },
        });
        touched.collect()
    }

    fn refuse(&self, error: &PrepareError, cause: &'static str) -> ReloadView {
        let before = self.parts.board.config();
        let view = refusal(error, &before);
        tracing::error!(error = view.error, cause, "reload failed; all is as it was");
        self.post(ConfigView { last_reload: Some(view.clone()), ..ConfigView::clone(&before) }, cause);
        view
    }

    fn post(&self, config: ConfigView, cause: &'static str) {
        let Some(reload) = &config.last_reload else { return };
        match reload.outcome {
            Outcome::Applied => self.parts.metrics.applied(),
            Outcome::Unchanged => self.parts.metrics.unchanged(),
            Outcome::Partial => self.parts.metrics.partial(reload.errors()),
            Outcome::Refused => self.parts.metrics.refused(reload.errors()),
            Outcome::DryRun => return,
        }
        let detail = serde_json::json!({ "cause": cause, "outcome": reload.outcome, "error": reload.error });
        if matches!(reload.outcome, Outcome::Partial | Outcome::Refused) {
            let errors = reload.problems.iter().filter(|problem| problem.severity == "error");
            let told =
                |one: &ProblemView| format!("{}:{}:{}: {}", one.file, one.line, one.column, one.message);
            let problems: Vec<_> = errors.take(TOLD_PROBLEMS).map(told).collect();
            let why = reload.error.as_deref().or(problems.first().map(String::as_str));
            let detail =
                serde_json::json!({ "cause": cause, "outcome": reload.outcome, "problems": problems });
            self.parts.events.publish(event::CONFIG_REJECTED, None, why, detail);
        }
        self.parts.events.publish(event::CONFIG_RELOADED, None, Some(cause), detail);
        let problems = config.problems.len();
        if reload.outcome == Outcome::Unchanged {
            tracing::debug!(cause, problems, "configuration read, nothing changed");
        } else {
            tracing::info!(cause, outcome = reload.outcome.word(), problems, "configuration read");
        }
        self.parts.board.stand(config);
    }

    /// Ends: no new viewers, those under way may finish within the configured time, then everything stops.
    pub(crate) async fn drain(mut self) {
        self.parts.board.set_draining();
        let drain = self.good.plan.server.drain;
        let detail = serde_json::json!({ "drain_ms": u64::try_from(drain.as_millis()).unwrap_or(u64::MAX) });
        self.parts.events.publish(event::DAEMON_STOPPING, None, None, detail);
        self.listeners.clear();
        tracing::info!(within = ?self.good.plan.server.drain, "draining");
        let cut = self.parts.edge.drain(self.good.plan.server.drain).await;
        if cut > 0 {
            tracing::warn!(connections = cut, "cut at the end of the drain time");
        }
        let fleet = self.parts.fleet.clear();
        self.stop_all(fleet, EndReason::Shutdown);
        self.leaving.close();
        self.leaving.wait().await;
        self.parts.handling.drain(drain).await;
    }
}

/// The nodes that differ and stand until a restart.
fn fixed(one: &Server, other: &Server) -> impl Iterator<Item = &'static str> {
    let nodes = [
        ("admin", one.admin.listen != other.admin.listen),
        ("state-dir", one.state_dir != other.state_dir),
        ("plugins", one.plugins != other.plugins),
        ("log format", one.log.format != other.log.format),
    ];
    nodes.into_iter().filter_map(|(node, differs)| differs.then_some(node))
}

fn refusal(error: &PrepareError, before: &ConfigView) -> ReloadView {
    ReloadView {
        time: Timestamp::now(),
        outcome: Outcome::Refused,
        error: Some(chain(error)),
        changes: Vec::new(),
        restart: before.last_reload.as_ref().map(|last| last.restart.clone()).unwrap_or_default(),
        problems: before.problems.clone(),
    }
}

/// The files that are in force or would be, had they no problems.
fn files_in_force(settled: &Settled) -> Vec<FileView> {
    let names = settled.good.files.iter().map(|(name, _)| name.as_str());
    let names: BTreeSet<&str> = names.chain(settled.held_back.iter().map(|name| &**name)).collect();
    let file = |name: &str| FileView { name: name.to_owned(), refused: settled.held_back.contains(name) };
    names.into_iter().map(file).collect()
}

/// An error with everything beneath it. Many messages hold that of their cause already.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !words.contains(&more) {
            words.push_str(&format!(": {more}"));
        }
        next = cause.source();
    }
    words
}

fn identity(server: &Server) -> Result<Option<Arc<Identity>>, PrepareError> {
    Ok(server.tls.as_ref().map(|tls| Identity::load(&tls.cert, &tls.key)).transpose()?)
}

/// What the edge needs of the configuration.
pub(crate) fn settings(server: &Server) -> Settings {
    let limits = Limits {
        connections: server.limits.connections,
        head: server.limits.head_timeout,
        idle: server.limits.idle_timeout,
        write: server.limits.write_timeout,
        head_bytes: usize::try_from(server.limits.headers.0).unwrap_or(usize::MAX),
        streams: server.limits.streams,
        ..Limits::default()
    };
    let cors = Cors::from_words(server.cors.iter().map(String::as_str)).unwrap_or_default();
    Settings { limits, trusted_proxies: server.trusted_proxies.clone(), cors }
}
