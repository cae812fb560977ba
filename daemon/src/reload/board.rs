//! What stands in force, for those who look: the control API reads it, the reloader writes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sluice_core::conf::Problems;
use sluice_core::pipeline::{Fleet, Shared};
use sluice_core::plan::PipelinePlan;

/// A pipeline that runs, with its plan.
pub(crate) struct Posted {
    pub(crate) shared: Arc<Shared>,
    pub(crate) plan: PipelinePlan,
}

/// How the last reload went.
#[derive(Clone)]
pub(crate) struct Outcome {
    pub(crate) time: Timestamp,
    /// What asked for it: `start`, `file`, `SIGHUP`, `API`.
    pub(crate) cause: &'static str,
    /// `applied`, `unchanged`, `partial` (files with problems were held back), `failed`.
    pub(crate) result: &'static str,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// Each change in words, with the viewers that it touches.
    pub(crate) changes: Vec<Touched>,
}

/// A change of one pipeline.
#[derive(Clone)]
pub(crate) struct Touched {
    pub(crate) pipeline: Arc<str>,
    pub(crate) change: String,
    pub(crate) viewers: usize,
}

/// The configuration as it stands.
#[derive(Default)]
pub(crate) struct Standing {
    /// The files in force, each with whether a newer text is held back.
    pub(crate) files: Vec<(String, bool)>,
    pub(crate) problems: Problems,
    pub(crate) last: Option<Outcome>,
}

/// The board.
#[derive(Default)]
pub(crate) struct Board {
    pipelines: ArcSwap<BTreeMap<Arc<str>, Posted>>,
    standing: ArcSwap<Standing>,
    listening: AtomicBool,
    draining: AtomicBool,
}

impl Board {
    pub(crate) fn pipelines(&self) -> Arc<BTreeMap<Arc<str>, Posted>> {
        self.pipelines.load_full()
    }

    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// Whether viewers can connect.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_listening(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    pub(super) fn post(&self, fleet: &Fleet) {
        let posted = fleet.iter().map(|(name, pipeline)| {
            (name.clone(), Posted { shared: pipeline.shared().clone(), plan: pipeline.plan().clone() })
        });
        self.pipelines.store(Arc::new(posted.collect()));
    }

    pub(super) fn stand(&self, standing: Standing) {
        self.standing.store(Arc::new(standing));
    }

    /// Viewers of a pipeline, over all its sinks.
    pub(crate) fn viewers(&self, pipeline: &str) -> usize {
        let pipelines = self.pipelines.load();
        pipelines.get(pipeline).map_or(0, |posted| posted.shared.viewers().values().map(|viewers| viewers.count()).sum())
    }
}
