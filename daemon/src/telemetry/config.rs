//! What reloads count.

use jiff::Timestamp;
use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The outcomes of reloads, and how the configuration stands.
pub(crate) struct ConfigMetrics {
    successful: IntGauge,
    success_time: IntGauge,
    problems: IntGauge,
    applied: IntCounter,
    unchanged: IntCounter,
    partial: IntCounter,
    refused: IntCounter,
}

impl ConfigMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let reloads = IntCounterVec::new(
            Opts::new("sluice_config_reloads_total", "Reloads of the configuration by outcome."),
            &["outcome"],
        )?;
        registry.register(Box::new(reloads.clone()))?;
        Ok(Self {
            successful: gauge(
                "sluice_config_last_reload_successful",
                "1 where the last reload found no errors and was applied whole.",
            )?,
            success_time: gauge(
                "sluice_config_last_reload_success_timestamp_seconds",
                "Unix time of the last reload without errors.",
            )?,
            problems: gauge("sluice_config_problems", "Errors that the configuration on disk has now.")?,
            applied: reloads.with_label_values(&["applied"]),
            unchanged: reloads.with_label_values(&["unchanged"]),
            partial: reloads.with_label_values(&["partial"]),
            refused: reloads.with_label_values(&["refused"]),
        })
    }

    /// The configuration was applied.
    pub(crate) fn applied(&self) {
        self.applied.inc();
        self.succeeded();
    }

    /// The configuration is as it was.
    pub(crate) fn unchanged(&self) {
        self.unchanged.inc();
        self.succeeded();
    }

    /// Files with problems were held back, and what else changed was applied.
    pub(crate) fn partial(&self, problems: usize) {
        self.partial.inc();
        self.failed(problems);
    }

    /// The configuration has problems, or could not be prepared (then `problems` is 0).
    pub(crate) fn refused(&self, problems: usize) {
        self.refused.inc();
        self.failed(problems);
    }

    fn failed(&self, problems: usize) {
        self.successful.set(0);
        self.problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
    }

    fn succeeded(&self) {
        self.successful.set(1);
        self.problems.set(0);
        self.success_time.set(Timestamp::now().as_second());
    }
}
