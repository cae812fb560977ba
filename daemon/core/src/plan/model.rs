//! The types of a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Failover, HandlerPlan, HealthPlan, PluginPlan, Server};
use crate::plugin::Use;
use crate::stage::{BufferSpec, LayerSpec, SinkSpec, SourceSpec, Spec};

/// Everything that a configuration says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The daemon itself.
    pub server: Server,
    /// The pipelines, by name; disabled ones too.
    pub pipelines: BTreeMap<Arc<str>, PipelinePlan>,
    /// What handles the events of the daemon and of every pipeline, in the order of files.
    pub handlers: Vec<HandlerPlan>,
    /// What plugins are granted, by name. One that is used and does not stand here has the defaults and no grant.
    pub plugins: BTreeMap<Arc<str>, PluginPlan>,
}

impl Plan {
    /// The pipelines that are to run.
    pub fn enabled(&self) -> impl Iterator<Item = &PipelinePlan> {
        self.pipelines.values().filter(|pipeline| pipeline.enabled)
    }

    /// What a plugin is granted.
    pub fn grants(&self, plugin: &Use) -> PluginPlan {
        let written = self.plugins.get(&plugin.plugin).cloned();
        written.unwrap_or_else(|| PluginPlan::usual(plugin.plugin.clone(), plugin.place.clone()))
    }

    /// Every use of a plugin by what is to run, with its pipeline.
    pub fn uses(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Use)> {
        let pipelines = self.enabled().flat_map(|pipeline| {
            let handlers = pipeline.handlers.iter().map(|handler| &handler.run);
            handlers.chain([&pipeline.health.run]).map(|run| (Some(&pipeline.name), run))
        });
        self.handlers.iter().map(|handler| (None, &handler.run)).chain(pipelines)
    }
}

/// One pipeline. Equal to another when it works the same; the file that it stands in does not count.
#[derive(Debug, Clone)]
pub struct PipelinePlan {
    /// Its name: lowercase letters, digits, `-`, `_` and `/`, at most 64.
    pub name: Arc<str>,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// Whether it is to run.
    pub enabled: bool,
    /// Its sources, a chain in the order of preference; at least one.
    pub sources: Vec<StagePlan<dyn SourceSpec>>,
    /// When it leaves one of them for another.
    pub failover: Failover,
    /// Its buffer.
    pub buffer: StagePlan<dyn BufferSpec>,
    /// Its sinks; at least one.
    pub sinks: Vec<StagePlan<dyn SinkSpec>>,
    /// What scores its health.
    pub health: HealthPlan,
    /// What handles its events.
    pub handlers: Vec<HandlerPlan>,
}

impl PartialEq for PipelinePlan {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.enabled == other.enabled
            && self.sources == other.sources
            && self.failover == other.failover
            && self.buffer == other.buffer
            && self.sinks == other.sinks
            && self.health == other.health
            && self.handlers == other.handlers
    }
}

/// A stage with its middleware. Comparing stages compares both.
#[derive(Debug)]
pub struct StagePlan<S: ?Sized> {
    /// The stage.
    pub spec: Arc<S>,
    /// Its layers as written: the first is nearest the origin.
    pub layers: Vec<Arc<dyn LayerSpec>>,
}

impl<S: ?Sized> Clone for StagePlan<S> {
    fn clone(&self) -> Self {
        Self { spec: self.spec.clone(), layers: self.layers.clone() }
    }
}

impl<S: Spec + ?Sized> StagePlan<S> {
    /// Whether the stages are equal, whatever stands around them.
    pub fn same_spec(&self, other: &Self) -> bool {
        self.spec.same(other.spec.as_any())
    }

    /// Whether the layers are equal, in order.
    pub fn same_layers(&self, other: &Self) -> bool {
        self.layers.len() == other.layers.len()
            && self.layers.iter().zip(&other.layers).all(|(one, other)| one.same(other.as_any()))
    }
}

impl<S: Spec + ?Sized> PartialEq for StagePlan<S> {
    fn eq(&self, other: &Self) -> bool {
        self.same_spec(other) && self.same_layers(other)
    }
}
