//! What the layers of one stage count.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::PipelineMetrics;

/// What the layers of one stage count.
#[derive(Clone)]
pub struct StageMetrics {
    pub(super) pipeline: Arc<PipelineMetrics>,
    pub(super) stage: Arc<str>,
}

impl StageMetrics {
    fn counter(&self, family: &IntCounterVec) -> IntCounter {
        family.with_label_values(&[&*self.pipeline.name, &*self.stage])
    }

    /// Requests sent again.
    pub fn retries(&self) -> IntCounter {
        self.counter(&self.pipeline.families.stage.retries)
    }

    /// Requests refused or made to wait by a rate limit.
    pub fn rate_limited(&self) -> IntCounter {
        self.counter(&self.pipeline.families.stage.rate_limited)
    }

    /// Requests refused or made to wait by a concurrency limit.
    pub fn concurrency_limited(&self) -> IntCounter {
        self.counter(&self.pipeline.families.stage.concurrency_limited)
    }

    /// Exchanges that ran out of their total time.
    pub fn timeouts(&self) -> IntCounter {
        self.counter(&self.pipeline.families.stage.timeouts)
    }

    /// Requests to a cache with this result, one of [`super::CACHE_RESULTS`].
    pub fn cache(&self, result: &str) -> IntCounter {
        self.pipeline.families.stage.cache_requests.with_label_values(&[
            &*self.pipeline.name,
            &*self.stage,
            result,
        ])
    }

    /// 0 closed, 1 half open, 2 open.
    pub fn breaker_state(&self) -> IntGauge {
        self.pipeline.families.stage.breaker_state.with_label_values(&[&*self.pipeline.name, &*self.stage])
    }

    /// Times that the breaker opened.
    pub fn breaker_opened(&self) -> IntCounter {
        self.counter(&self.pipeline.families.stage.breaker_opened)
    }
}
