//! Bringing the daemon in line with its files: read, settle, prepare, apply, swap, drain.

mod board;
mod metrics;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sluice_core::event::Events;
use sluice_core::pipeline::{Fleet, Pipeline};
use sluice_core::plan::{self, Change, Good, Plan, Server, ServerPart, Settled};
use tokio_util::task::TaskTracker;

pub(crate) use board::{Board, Outcome, Posted, Standing, Touched};
pub(crate) use metrics::ReloadMetrics;
pub(crate) use watch::Watch;

use crate::cli::files;
use crate::edge::{Cors, Edge, EdgeMetrics, Identity, Limits, Listener, Routes, Settings};
use crate::kinds::KINDS;
use crate::telemetry::LogControl;

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
    /// The log cannot be changed.
    #[error("the log cannot be changed")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the reloader is made of.
pub(crate) struct Parts {
    pub(crate) dir: PathBuf,
    pub(crate) fleet: Fleet,
    pub(crate) edge: Edge,
    pub(crate) edge_metrics: Arc<EdgeMetrics>,
    pub(crate) routes: Arc<ArcSwap<Routes>>,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: ReloadMetrics,
    pub(crate) events: Events,
    pub(crate) log: LogControl,
}

/// Owns what runs, and changes it. One reload at a time: it is called from one task.
pub(crate) struct Reloader {
    parts: Parts,
    good: Good,
    listeners: Vec<(SocketAddr, Listener)>,
    leaving: TaskTracker,
}

/// What a change needs and what can fail, made before anything is changed.
struct Prepared {
    listeners: Vec<(SocketAddr, Listener)>,
}

impl Reloader {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, good: Good::default(), listeners: Vec::new(), leaving: TaskTracker::new() }
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
        let server = settled.good.plan.server.clone();
        let prepared = Prepared { listeners: self.bind_all(&server)? };
        self.parts.edge.retune(settings(&server));
        self.apply(settled, prepared, "start");
        self.parts.board.set_listening();
        Ok(())
    }

    /// Reads the files again and applies what changed. The outcome is logged, counted, posted and returned.
    pub(crate) async fn reload(&mut self, cause: &'static str, dry_run: bool) -> Outcome {
        let settled = match self.settle().await {
            Ok(settled) => settled,
            Err(error) => return self.failed(&error, cause, Vec::new()),
        };
        let changes = self.touched(&settled.good.plan);
        if dry_run {
            return outcome(cause, result(&settled, &changes), changes);
        }
        match self.prepare(&settled.good.plan.server) {
            Ok(prepared) => self.apply(settled, prepared, cause),
            Err(error) => self.failed(&error, cause, changes),
        }
    }

    /// The problems of the files as they are now; for a dry run.
    pub(crate) async fn settle(&self) -> Result<Settled, PrepareError> {
        let (dir, good) = (self.parts.dir.clone(), self.good.clone());
        let settling = tokio::task::spawn_blocking(move || {
            let current = files::read_dir(&dir)?;
            Ok(plan::settle(&current, &good, &KINDS, &files::SystemLookup))
        });
        let settled = settling.await.map_err(std::io::Error::other).map_err(PrepareError::Read)?;
        settled.map_err(PrepareError::Read)
    }

    fn prepare(&self, server: &Server) -> Result<Prepared, PrepareError> {
        let before = &self.good.plan.server;
        if server.log != before.log {
            self.parts.log.set(&server.log).map_err(PrepareError::Log)?;
        }
        if server.tls != before.tls {
            // every listener is made anew; the old ones must let go of their ports for that, so check first
            if let Some(tls) = &server.tls {
                Identity::load(&tls.cert, &tls.key)?;
            }
            return Ok(Prepared { listeners: Vec::new() });
        }
        let fresh = server.listen.iter().filter(|address| self.listeners.iter().all(|(known, _)| known != *address));
        let identity = identity(server)?;
        let bound = fresh.map(|address| Ok((*address, self.parts.edge.listen(*address, identity.clone())?)));
        Ok(Prepared { listeners: bound.collect::<Result<_, PrepareError>>()? })
    }

    fn apply(&mut self, settled: Settled, prepared: Prepared, cause: &'static str) -> Outcome {
        let changes = self.touched(&settled.good.plan);
        let result = result(&settled, &changes);
        let server = plan::diff(&self.good.plan, &settled.good.plan).server;
        let left = self.parts.fleet.apply(&settled.good.plan);
        self.swap_routes();
        self.stop_all(left, "it left the configuration");
        self.change_server(&server, &settled.good.plan.server, prepared);
        self.parts.board.post(&self.parts.fleet);
        for touched in &changes {
            tracing::info!(pipeline = %touched.pipeline, change = touched.change, viewers = touched.viewers, "applied");
        }
        for problem in settled.problems.iter() {
            tracing::error!(%problem, "the configuration has a problem");
        }
        let outcome = outcome(cause, result, changes);
        self.good = settled.good;
        let held = |name: &String| settled.held_back.contains(name.as_str());
        let mut files: Vec<(String, bool)> = self.good.files.iter().map(|(name, _)| (name.clone(), held(name))).collect();
        let new = settled.held_back.iter().filter(|name| files.iter().all(|(known, _)| **known != ***name));
        files.extend(new.map(|name| (name.to_string(), true)).collect::<Vec<_>>());
        self.post(&outcome, Standing { files, problems: settled.problems, last: Some(outcome.clone()) });
        outcome
    }

    fn change_server(&mut self, parts: &[ServerPart], server: &Server, prepared: Prepared) {
        self.parts.edge.retune(settings(server));
        self.listeners.retain(|(address, _)| server.listen.contains(address));
        if parts.contains(&ServerPart::Tls) && !self.listeners.is_empty() {
            self.listeners.clear();
            match self.bind_all(server) {
                Ok(listeners) => self.listeners = listeners,
                Err(error) => tracing::error!(%error, "viewers cannot connect any more"),
            }
        }
        self.listeners.extend(prepared.listeners);
        for part in [ServerPart::Admin, ServerPart::StateDir].iter().filter(|part| parts.contains(part)) {
            tracing::warn!(node = part.word(), "this takes effect with a restart only");
        }
    }

    fn bind_all(&self, server: &Server) -> Result<Vec<(SocketAddr, Listener)>, PrepareError> {
        let identity = identity(server)?;
        let bind = |address: &SocketAddr| Ok((*address, self.parts.edge.listen(*address, identity.clone())?));
        server.listen.iter().map(bind).collect()
    }

    fn swap_routes(&self) {
        let mut routes = Routes::default();
        for (pipeline, mount) in self.parts.fleet.mounts() {
            let target = (pipeline.clone(), mount.stage.clone(), mount.service.clone());
            routes.prefix(&mount.path, target, &self.parts.edge_metrics);
        }
        self.parts.routes.store(Arc::new(routes));
    }

    fn stop_all(&self, left: Vec<Pipeline>, reason: &'static str) {
        for pipeline in left {
            self.leaving.spawn(pipeline.stop(reason));
        }
    }

    fn touched(&self, next: &Plan) -> Vec<Touched> {
        let changes = plan::diff(&self.good.plan, next).pipelines.into_iter();
        let changes = changes.filter(|change| !matches!(change, Change::Keep(_)));
        let touched = changes.map(|change| Touched {
            pipeline: change.name().clone(),
            change: change.to_string(),
            viewers: self.parts.board.viewers(change.name()),
        });
        touched.collect()
    }

    fn failed(&self, error: &PrepareError, cause: &'static str, changes: Vec<Touched>) -> Outcome {
        let error: &dyn std::error::Error = error;
        let words = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        tracing::error!(error = words, cause, "reload failed; all is as it was");
        let outcome = Outcome { error: Some(words), ..outcome(cause, "failed", changes) };
        let before = self.parts.board.standing();
        let standing =
            Standing { files: before.files.clone(), problems: before.problems.clone(), last: Some(outcome.clone()) };
        self.post(&outcome, standing);
        outcome
    }

    fn post(&self, outcome: &Outcome, standing: Standing) {
        self.parts.metrics.count(outcome, &standing);
        let detail = serde_json::json!({ "cause": outcome.cause, "result": outcome.result, "error": outcome.error });
        self.parts.events.publish("config.reloaded", None, detail);
        if outcome.cause != "start" {
            tracing::info!(cause = outcome.cause, result = outcome.result, "configuration read");
        }
        self.parts.board.stand(standing);
    }

    /// Ends: no new viewers, those under way may finish within the configured time, then everything stops.
    pub(crate) async fn drain(mut self) {
        self.parts.board.set_draining();
        self.listeners.clear();
        let cut = self.parts.edge.drain(self.good.plan.server.drain).await;
        if cut > 0 {
            tracing::warn!(connections = cut, "cut at the end of the drain time");
        }
        let fleet = self.parts.fleet.clear();
        self.stop_all(fleet, "the daemon stops");
        self.leaving.close();
        self.leaving.wait().await;
    }
}

fn outcome(cause: &'static str, result: &'static str, changes: Vec<Touched>) -> Outcome {
    Outcome { time: Timestamp::now(), cause, result, error: None, changes }
}

fn result(settled: &Settled, changes: &[Touched]) -> &'static str {
    match (settled.problems.are_fatal(), changes.is_empty()) {
        (true, _) => "partial",
        (false, true) => "unchanged",
        (false, false) => "applied",
    }
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
