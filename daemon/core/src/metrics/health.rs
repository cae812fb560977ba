//! What scorers say of the streams, as metrics.

use std::sync::Arc;

use prometheus::{Error, GaugeVec, IntCounterVec, IntGaugeVec};

use super::families::Registering;
use super::{PipelineMetrics, remove_series};

pub(super) struct HealthFamilies {
    score: IntGaugeVec,
    factor: GaugeVec,
    level: IntGaugeVec,
    fallbacks: IntCounterVec,
}

impl HealthFamilies {
    pub(super) fn new(to: &Registering<'_>) -> Result<Self, Error> {
        Ok(Self {
            score: to.gauge(
                "health_score",
                "The last health score of a pipeline, 0 to 100.",
                &["pipeline"],
            )?,
            factor: to.seconds(
                "health_factor",
                "The factors of the last health score, each 0 to 100.",
                &["pipeline", "factor"],
            )?,
            level: to.gauge(
                "health_level",
                "1 for the level of a pipeline's health: good, degraded or failing.",
                &["pipeline", "level"],
            )?,
            fallbacks: to.counter(
                "health_fallbacks_total",
                "Scores that the built-in scorer gave because the configured one had none.",
                &["pipeline"],
            )?,
        })
    }

    pub(super) fn forget(&self, pipeline: &str) {
        let (score, factor, level, fallbacks) = (&self.score, &self.factor, &self.level, &self.fallbacks);
        remove_series(score, pipeline, |labels| score.remove_label_values(labels));
        remove_series(factor, pipeline, |labels| factor.remove_label_values(labels));
        remove_series(level, pipeline, |labels| level.remove_label_values(labels));
        remove_series(fallbacks, pipeline, |labels| fallbacks.remove_label_values(labels));
    }
}

/// How a pipeline's health counts. Series of what was never said are not made.
#[derive(Clone)]
pub struct HealthMetrics {
    pipeline: Arc<PipelineMetrics>,
}

impl HealthMetrics {
    pub(super) fn new(pipeline: Arc<PipelineMetrics>) -> Self {
        Self { pipeline }
    }

    fn families(&self) -> &HealthFamilies {
        &self.pipeline.families.health
    }

    /// Sets the score.
    pub fn score(&self, score: u8) {
        self.families().score.with_label_values(&[&*self.pipeline.name]).set(score.into());
    }

    /// Sets the score of a factor.
    pub fn factor(&self, factor: &str, score: f64) {
        self.families().factor.with_label_values(&[&*self.pipeline.name, factor]).set(score);
    }

    /// Removes the series of a factor that is said no more.
    pub fn forget_factor(&self, factor: &str) {
        if let Err(error) = self.families().factor.remove_label_values(&[&*self.pipeline.name, factor]) {
            tracing::debug!(%error, factor, "series was gone already");
        }
    }

    /// Sets whether this is the level.
    pub fn level(&self, level: &str, is_it: bool) {
        self.families().level.with_label_values(&[&*self.pipeline.name, level]).set(is_it.into());
    }

    /// Counts a score that the built-in scorer gave in place of another.
    pub fn fell_back(&self) {
        self.fallbacks().inc();
    }

    /// Those so far.
    pub fn fallbacks(&self) -> prometheus::IntCounter {
        self.families().fallbacks.with_label_values(&[&*self.pipeline.name])
    }
}
