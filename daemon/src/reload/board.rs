//! What stands in force, for those who look: the control API reads it, the reloader writes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use sluice_core::health::Sample;
use sluice_core::pipeline::{Fleet, Pushed, Shared, Switcher};

use crate::api::view::{Check, ConfigView, PipelineView, PushView};
use crate::api::{AudienceView, HealthView, seen};

/// A pipeline that runs.
struct Posted {
    shared: Arc<Shared>,
    switcher: Switcher,
    /// Stage and path of each sink.
    sinks: Vec<(Arc<str>, String)>,
    pushed: Vec<Pushed>,
}

/// The board.
pub(crate) struct Board {
    pipelines: ArcSwap<BTreeMap<Arc<str>, Posted>>,
    config: ArcSwap<ConfigView>,
    listening: AtomicBool,
    draining: AtomicBool,
}

impl Board {
    /// Nothing runs yet.
    pub(crate) fn new(directory: String) -> Self {
        let config = ConfigView { directory, files: Vec::new(), problems: Vec::new(), last_reload: None };
        Self {
            pipelines: ArcSwap::default(),
            config: ArcSwap::from_pointee(config),
            listening: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// Every pipeline, in the order of names.
    pub(crate) fn pipelines(&self) -> Vec<PipelineView> {
        self.pipelines.load().values().map(Posted::view).collect()
    }

    /// The pipeline of this name.
    pub(crate) fn pipeline(&self, name: &str) -> Option<PipelineView> {
        self.pipelines.load().get(name).map(Posted::view)
    }

    /// How the pipeline of this name is told to switch.
    pub(crate) fn switcher(&self, name: &str) -> Option<Switcher> {
        Some(self.pipelines.load().get(name)?.switcher.clone())
    }

    /// The viewers of a pipeline's transport streams.
    pub(crate) fn audience(&self, name: &str) -> Option<AudienceView> {
        self.pipelines.load().get(name).map(|posted| AudienceView::of(&posted.shared))
    }

    /// The health of a pipeline.
    pub(crate) fn health(&self, name: &str) -> Option<HealthView> {
        self.pipelines.load().get(name).map(|posted| HealthView::of(&posted.shared))
    }

    /// What a scorer sees of a pipeline.
    pub(crate) fn sample(&self, name: &str) -> Option<Sample> {
        self.pipelines.load().get(name).map(|posted| seen(&posted.shared))
    }

    /// Viewers of a pipeline, over all its sinks.
    pub(crate) fn viewers(&self, pipeline: &str) -> i64 {
        self.pipeline(pipeline).map_or(0, |view| view.viewers())
    }

    /// How the configuration stands.
    pub(crate) fn config(&self) -> Arc<ConfigView> {
        self.config.load_full()
    }

    /// What must hold before viewers are sent here.
    pub(crate) fn ready(&self) -> Vec<Check> {
        let listening = self.listening.load(Ordering::Relaxed);
        let draining = self.draining.load(Ordering::Relaxed);
        let applied = self.config.load().last_reload.is_some();
        let check = |name: &str, ok: bool, detail: &str| Check {
            name: name.to_owned(),
            ok,
            detail: if ok { String::new() } else { detail.to_owned() },
        };
        vec![
            check("listeners", listening, "viewers cannot connect yet"),
            check("configuration", applied, "no configuration is applied yet"),
            check("draining", !draining, "the daemon stops"),
        ]
    }

    /// Viewers can connect.
    pub(super) fn set_listening(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn post(&self, fleet: &Fleet) {
        let posted = fleet.iter().map(|(name, pipeline)| {
            let switcher = pipeline.switcher().clone();
            let sinks =
                pipeline.mounts().iter().map(|mount| (mount.stage.clone(), mount.path.clone())).collect();
            (
                name.clone(),
                Posted {
                    shared: pipeline.shared().clone(),
                    switcher,
                    sinks,
                    pushed: pipeline.pushed().collect(),
                },
            )
        });
        self.pipelines.store(Arc::new(posted.collect()));
    }

    pub(super) fn stand(&self, config: ConfigView) {
        self.config.store(Arc::new(config));
    }
}

impl Posted {
    fn view(&self) -> PipelineView {
        let sinks = self.sinks.iter().map(|(stage, path)| (&**stage, path.as_str()));
        let pushing = self.pushed.iter().map(PushView::from).collect();
        PipelineView { pushing, ..PipelineView::of(&self.shared, sinks) }
    }
}
