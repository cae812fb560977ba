//! Counters of what is delivered to plugins that handle events.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Error, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

const OUTCOMES: &[&str] = &["delivered", "dropped", "unavailable", "refused", "deadline", "broken"];

/// Deliveries to every plugin.
#[derive(Clone)]
pub struct DeliveryMetrics {
    deliveries: IntCounterVec,
    depth: IntGaugeVec,
    actions: IntCounterVec,
    known: Arc<Mutex<BTreeSet<String>>>,
}

/// Deliveries to one plugin.
#[derive(Clone)]
pub struct DeliveriesOf {
    plugin: Arc<str>,
    deliveries: IntCounterVec,
    actions: IntCounterVec,
    /// Events that wait, over all its uses.
    pub depth: IntGauge,
}

impl DeliveryMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When one of them is registered already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let deliveries = IntCounterVec::new(
            Opts::new("sluice_event_deliveries_total", "Events for plugins, by what became of them."),
            &["plugin", "outcome"],
        )?;
        let depth = IntGaugeVec::new(
            Opts::new("sluice_event_queue_depth", "Events that wait for a plugin."),
            &["plugin"],
        )?;
        let actions = IntCounterVec::new(
            Opts::new("sluice_plugin_actions_total", "What plugins asked for, by what became of it."),
            &["plugin", "action", "outcome"],
        )?;
        registry.register(Box::new(deliveries.clone()))?;
        registry.register(Box::new(depth.clone()))?;
        registry.register(Box::new(actions.clone()))?;
        Ok(Self { deliveries, depth, actions, known: Arc::default() })
    }

    /// Those of one plugin.
    pub fn of(&self, plugin: &Arc<str>) -> DeliveriesOf {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(plugin.to_string());
        for outcome in OUTCOMES {
            self.deliveries.with_label_values(&[&**plugin, *outcome]);
        }
        DeliveriesOf {
            plugin: plugin.clone(),
            deliveries: self.deliveries.clone(),
            actions: self.actions.clone(),
            depth: self.depth.with_label_values(&[&**plugin]),
        }
    }

    /// Takes out the series of plugins that are not among these.
    pub fn keep<'p>(&self, plugins: impl Iterator<Item = &'p str>) {
        let kept: BTreeSet<&str> = plugins.collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<String> = known.iter().filter(|plugin| !kept.contains(&***plugin)).cloned().collect();
        for plugin in gone {
            known.remove(&plugin);
            for outcome in OUTCOMES {
                absent(self.deliveries.remove_label_values(&[&*plugin, *outcome]));
            }
            absent(self.depth.remove_label_values(&[&*plugin]));
            for action in ["switch-source", "restart-source", "unknown"] {
                for outcome in ["done", "failed", "refused"] {
                    absent(self.actions.remove_label_values(&[&*plugin, action, outcome]));
                }
            }
        }
    }
}

/// A series that was never made is no error.
fn absent(removed: Result<(), Error>) {
    if let Err(error) = removed {
        tracing::trace!(%error, "no such series");
    }
}

impl DeliveriesOf {
    /// Counts an event by what became of it.
    pub fn count(&self, outcome: &'static str) {
        self.deliveries.with_label_values(&[&*self.plugin, outcome]).inc();
    }

    /// Counts an action by what became of it.
    pub fn count_action(&self, action: &'static str, outcome: &'static str) {
        self.actions.with_label_values(&[&*self.plugin, action, outcome]).inc();
    }
}
