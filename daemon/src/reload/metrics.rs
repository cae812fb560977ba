//! What is counted of reloads.

use prometheus::{Error, Gauge, IntCounterVec, IntGauge, Opts, Registry};

use super::{Outcome, Standing};

const RESULTS: [&str; 4] = ["applied", "unchanged", "partial", "failed"];

/// The families.
pub(crate) struct ReloadMetrics {
    successful: IntGauge,
    success_time: Gauge,
    reloads: IntCounterVec,
    problems: IntGauge,
}

impl ReloadMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let successful = IntGauge::new(
            "sluice_config_last_reload_successful",
            "Whether the last reading of the configuration was applied whole.",
        )?;
        let success_time = Gauge::new(
            "sluice_config_last_reload_success_timestamp_seconds",
            "Unix time of the last reading that was applied whole.",
        )?;
        let reloads = IntCounterVec::new(Opts::new("sluice_config_reloads_total", "Readings by outcome."), &["outcome"])?;
        let problems = IntGauge::new("sluice_config_problems", "Problems in the files as they are.")?;
        registry.register(Box::new(successful.clone()))?;
        registry.register(Box::new(success_time.clone()))?;
        registry.register(Box::new(reloads.clone()))?;
        registry.register(Box::new(problems.clone()))?;
        for result in RESULTS {
            reloads.with_label_values(&[result]);
        }
        Ok(Self { successful, success_time, reloads, problems })
    }

    pub(super) fn count(&self, outcome: &Outcome, standing: &Standing) {
        let whole = matches!(outcome.result, "applied" | "unchanged");
        self.successful.set(i64::from(whole));
        if whole {
            self.success_time.set(outcome.time.as_duration().as_secs_f64());
        }
        self.reloads.with_label_values(&[outcome.result]).inc();
        self.problems.set(i64::try_from(standing.problems.iter().count()).unwrap_or(i64::MAX));
    }
}
