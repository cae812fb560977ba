//! Which events a use of a plugin is given.

use std::sync::Arc;

use super::super::{Event, Pattern};
use crate::plugin::Use;

/// A use of a plugin that handles events.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The pipeline whose events these are; none for those of all and of the daemon.
    pub pipeline: Option<Arc<str>>,
    /// The kinds.
    pub patterns: Vec<Pattern>,
    /// The use.
    pub run: Use,
}

impl Subscription {
    /// Whether it is given this event. What is told of a plugin is not given to the plugin itself: a failure to handle
    /// an event would else be another event to handle.
    pub fn wants(&self, event: &Event) -> bool {
        let of_its_pipeline = self.pipeline.is_none() || self.pipeline == event.pipeline;
        of_its_pipeline
            && !self.is_about_itself(event)
            && self.patterns.iter().any(|one| one.matches(event.kind))
    }

    fn is_about_itself(&self, event: &Event) -> bool {
        let plugin = event.detail.get("plugin").and_then(serde_json::Value::as_str);
        event.kind.starts_with("plugin.") && plugin == Some(&*self.run.plugin)
    }
}
