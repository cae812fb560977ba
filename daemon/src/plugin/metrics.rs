//! What plugins count.

use std::time::Duration;

use prometheus::{Error, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Upper bounds of calls, in seconds: from a kept scorer to one that waits for a server.
const BUCKETS: &[f64] = &[0.000_01, 0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

/// The families, labelled with the plugin's name.
#[derive(Clone)]
pub(crate) struct PluginMetrics {
    calls: IntCounterVec,
    duration: HistogramVec,
    instances: IntGaugeVec,
    memory: IntGaugeVec,
    loads: IntCounterVec,
    disabled: IntGaugeVec,
    lines_left_out: IntCounterVec,
}

impl PluginMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, Error> {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, Error> {
            let family = IntGaugeVec::new(Opts::new(name, help), &["plugin"])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let opts = HistogramOpts::new(
            "sluice_plugin_call_duration_seconds",
            "Time of a plugin's calls, waiting included.",
        );
        let duration = HistogramVec::new(opts.buckets(BUCKETS.to_vec()), &["plugin"])?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            calls: counter(
                "sluice_plugin_calls_total",
                "Calls of plugins by outcome: ok, refused by the plugin, unavailable, or the kind of its fault.",
                &["plugin", "outcome"],
            )?,
            duration,
            instances: gauge("sluice_plugin_instances", "Instances of plugins that live.")?,
            memory: gauge("sluice_plugin_memory_bytes", "Memory of all instances of a plugin.")?,
            loads: counter(
                "sluice_plugin_loads_total",
                "Files of plugins that were taken up or refused.",
                &["plugin", "outcome"],
            )?,
            disabled: gauge("sluice_plugin_disabled", "1 where a plugin is disabled for its faults.")?,
            lines_left_out: counter(
                "sluice_plugin_log_lines_left_out_total",
                "Log lines of plugins beyond what one call may write.",
                &["plugin"],
            )?,
        })
    }

    pub(super) fn called(&self, plugin: &str, outcome: &str, took: Duration) {
        self.calls.with_label_values(&[plugin, outcome]).inc();
        self.duration.with_label_values(&[plugin]).observe(took.as_secs_f64());
    }

    /// A call that never came to the plugin.
    pub(super) fn not_called(&self, plugin: &str) {
        self.calls.with_label_values(&[plugin, "unavailable"]).inc();
    }

    pub(super) fn loaded(&self, plugin: &str, outcome: &str) {
        self.loads.with_label_values(&[plugin, outcome]).inc();
    }

    pub(super) fn disabled(&self, plugin: &str, is_disabled: bool) {
        self.disabled.with_label_values(&[plugin]).set(is_disabled.into());
    }

    pub(super) fn left_out(&self, plugin: &str, lines: u32) {
        if lines > 0 {
            self.lines_left_out.with_label_values(&[plugin]).inc_by(lines.into());
        }
    }

    /// One more instance that lives.
    pub(super) fn live(&self, plugin: &str) -> Live {
        let instances = self.instances.with_label_values(&[plugin]);
        instances.inc();
        Live { instances, memory: self.memory.with_label_values(&[plugin]), bytes: 0 }
    }
}

/// An instance as the gauges count it, until it is dropped.
pub(super) struct Live {
    instances: IntGauge,
    memory: IntGauge,
    bytes: i64,
}

impl Live {
    /// It has so much memory now.
    pub(super) fn holds(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.memory.add(bytes - self.bytes);
        self.bytes = bytes;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.memory.sub(self.bytes);
        self.instances.dec();
    }
}
