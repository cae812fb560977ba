//! Every pipeline that runs, brought in line with a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Around, Mount, Origins, Pipeline, Setup};
use crate::event::Events;
use crate::metrics::{Metrics, PipelineMetrics};
use crate::plan::Plan;
use crate::port::Ledger;
use crate::stage::States;

/// The pipelines that run, by name.
pub struct Fleet {
    pipelines: BTreeMap<Arc<str>, Pipeline>,
    metrics: Arc<Metrics>,
    events: Events,
    ledger: Arc<dyn Ledger>,
    origins: Arc<dyn Origins>,
    /// What the layers of all pipelines share.
    states: Arc<States>,
    /// What sources may ask of the daemon; its directory holds these pipelines.
    around: Around,
}

impl Fleet {
    /// An empty fleet. It keeps the directory in `around`.
    pub fn new(
        metrics: Arc<Metrics>,
        events: Events,
        ledger: Arc<dyn Ledger>,
        origins: Arc<dyn Origins>,
        around: Around,
    ) -> Self {
        Self { pipelines: BTreeMap::new(), metrics, events, ledger, origins, states: Arc::default(), around }
    }

    /// The pipeline of this name.
    pub fn get(&self, name: &str) -> Option<&Pipeline> {
        self.pipelines.get(name)
    }

    /// Every pipeline, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Pipeline)> {
        self.pipelines.iter()
    }

    /// Every mounted sink, with its pipeline's name.
    pub fn mounts(&self) -> impl Iterator<Item = (&Arc<str>, &Mount)> {
        self.pipelines
            .iter()
            .flat_map(|(name, pipeline)| pipeline.mounts().iter().map(move |mount| (name, mount)))
    }

    /// Starts, changes and takes out pipelines, so that those that run are those that `plan` enables. Gives those
    /// that were taken out: they still serve, and are to be stopped once no route leads to them.
    #[must_use]
    pub fn apply(&mut self, plan: &Plan) -> Vec<Pipeline> {
        let enabled = |name: &str| plan.pipelines.get(name).is_some_and(|pipeline| pipeline.enabled);
        let leaving: Vec<Arc<str>> = self.pipelines.keys().filter(|name| !enabled(name)).cloned().collect();
        leaving.iter().for_each(|name| self.around.pipelines.leave(name));
        let left = leaving.iter().filter_map(|name| self.pipelines.remove(name)).collect();
        for (name, planned) in plan.pipelines.iter().filter(|(_, planned)| planned.enabled) {
            if let Some(running) = self.pipelines.get_mut(name) {
                running.retune(planned.clone());
            } else if let Some(started) =
                Pipeline::start(self.setup(name), planned.clone(), self.origins.clone())
            {
                self.around.pipelines.enter(started.shared());
                self.pipelines.insert(name.clone(), started);
            }
        }
        left
    }

    /// Takes every pipeline out, to be stopped.
    #[must_use]
    pub fn clear(&mut self) -> Vec<Pipeline> {
        self.pipelines.keys().for_each(|name| self.around.pipelines.leave(name));
        std::mem::take(&mut self.pipelines).into_values().collect()
    }

    fn setup(&self, name: &Arc<str>) -> Setup {
        let metrics: Arc<PipelineMetrics> = self.metrics.pipeline(name);
        let (events, ledger, states) = (self.events.clone(), self.ledger.clone(), self.states.clone());
        Setup { name: name.clone(), metrics, events, ledger, states, around: self.around.clone() }
    }
}
