//! The metric families, as values passed down: there is no global registry.
//!
//! A pipeline's series are made through its [`PipelineMetrics`] and go when the last handle to it goes.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{Error, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use prometheus::{Histogram, IntCounter, IntGauge};

use crate::fault::FaultKind;

/// Every family that belongs to a pipeline. All carry the label `pipeline`.
pub struct Metrics {
    registry: Registry,
    /// 1 for the state that the pipeline is in, 0 for the others.
    pub state: IntGaugeVec,
    /// 1 for the source that feeds the pipeline.
    pub source_active: IntGaugeVec,
    source_bytes: IntCounterVec,
    source_last_byte: GaugeVec,
    source_faults: IntCounterVec,
    source_restarts: IntCounterVec,
    segment_fetch: HistogramVec,
    playlist_age: GaugeVec,
    segments: IntCounterVec,
    gaps: IntCounterVec,
    discontinuities: IntCounterVec,
    buffer_bytes: IntGaugeVec,
    buffer_segments: IntGaugeVec,
    buffer_duration: GaugeVec,
    viewers: IntGaugeVec,
    viewer_bytes: IntCounterVec,
    retries: IntCounterVec,
    rate_limited: IntCounterVec,
    concurrency_limited: IntCounterVec,
    timeouts: IntCounterVec,
    cache_requests: IntCounterVec,
    breaker_state: IntGaugeVec,
    breaker_opened: IntCounterVec,
}

/// Results of a cache, as the label `result`.
pub const CACHE_RESULTS: &[&str] = &["hit", "miss", "stale", "shared"];

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// When a name is taken in `registry`.
    pub fn new(registry: Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, Error> {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, Error> {
            let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, Error> {
            let family = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let fetch = HistogramOpts::new(
            "sluice_segment_fetch_duration_seconds",
            "Time from asking for a segment to its last byte, retries included.",
        )
        .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let segment_fetch = HistogramVec::new(fetch, &["pipeline", "source"])?;
        registry.register(Box::new(segment_fetch.clone()))?;
        let source = &["pipeline", "source"];
        let stage = &["pipeline", "stage"];
        let sink = &["pipeline", "sink"];
        let rendition = &["pipeline", "rendition"];
        Ok(Self {
            state: gauge(
                "sluice_pipeline_state",
                "1 for the state of the pipeline.",
                &["pipeline", "state"],
            )?,
            source_active: gauge(
                "sluice_source_active",
                "1 for the source that feeds the pipeline.",
                source,
            )?,
            source_bytes: counter("sluice_source_bytes_total", "Media bytes taken in.", source)?,
            source_last_byte: seconds(
                "sluice_source_last_byte_timestamp_seconds",
                "Unix time of the last media byte; 0 before the first.",
                source,
            )?,
            source_faults: counter(
                "sluice_source_faults_total",
                "Faults of a source by kind, after retries.",
                &["pipeline", "source", "kind"],
            )?,
            source_restarts: counter("sluice_source_restarts_total", "Starts after the first.", source)?,
            segment_fetch,
            playlist_age: seconds(
                "sluice_playlist_age_seconds",
                "Time since the origin's playlist last brought a new segment.",
                rendition,
            )?,
            segments: counter("sluice_segments_total", "Segments appended to the window.", rendition)?,
            gaps: counter("sluice_segment_gaps_total", "Segments that are missing.", rendition)?,
            discontinuities: counter("sluice_discontinuities_total", "Discontinuities appended.", rendition)?,
            buffer_bytes: gauge("sluice_buffer_bytes", "Bytes in the window.", rendition)?,
            buffer_segments: gauge("sluice_buffer_segments", "Segments in the window.", rendition)?,
            buffer_duration: seconds(
                "sluice_buffer_duration_seconds",
                "Playing time in the window.",
                rendition,
            )?,
            viewers: gauge("sluice_viewers", "Viewers now.", sink)?,
            viewer_bytes: counter(
                "sluice_viewer_bytes_total",
                "Bytes handed to viewers' connections.",
                sink,
            )?,
            retries: counter("sluice_retries_total", "Requests sent again.", stage)?,
            rate_limited: counter("sluice_rate_limited_total", "Requests refused or made to wait.", stage)?,
            concurrency_limited: counter(
                "sluice_concurrency_limited_total",
                "Requests refused or made to wait because too many were under way.",
                stage,
            )?,
            timeouts: counter("sluice_timeouts_total", "Exchanges that ran out of their total time.", stage)?,
            cache_requests: counter(
                "sluice_cache_requests_total",
                "Requests to a cache by result.",
                &["pipeline", "stage", "result"],
            )?,
            breaker_state: gauge(
                "sluice_breaker_state",
                "State of a circuit breaker: 0 closed, 1 half open, 2 open.",
                stage,
            )?,
            breaker_opened: counter(
                "sluice_breaker_opened_total",
                "Times that a circuit breaker opened.",
                stage,
            )?,
            registry,
        })
    }

    /// The registry that the families stand in.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The handle through which one pipeline counts. Ask once for each pipeline and share it.
    pub fn pipeline(self: &Arc<Self>, name: &str) -> Arc<PipelineMetrics> {
        Arc::new(PipelineMetrics { families: self.clone(), name: name.into() })
    }

    fn forget(&self, pipeline: &str) {
        let ints: [&IntGaugeVec; 6] = [
            &self.state,
            &self.source_active,
            &self.buffer_bytes,
            &self.buffer_segments,
            &self.viewers,
            &self.breaker_state,
        ];
        let counters: [&IntCounterVec; 14] = [
            &self.source_bytes,
            &self.source_faults,
            &self.source_restarts,
            &self.segments,
            &self.gaps,
            &self.discontinuities,
            &self.viewer_bytes,
            &self.retries,
            &self.rate_limited,
            &self.concurrency_limited,
            &self.timeouts,
            &self.cache_requests,
            &self.breaker_opened,
            &self.source_bytes,
        ];
        let floats: [&GaugeVec; 3] = [&self.source_last_byte, &self.playlist_age, &self.buffer_duration];
        ints.iter()
            .for_each(|family| remove_series(*family, pipeline, |values| family.remove_label_values(values)));
        counters
            .iter()
            .for_each(|family| remove_series(*family, pipeline, |values| family.remove_label_values(values)));
        floats
            .iter()
            .for_each(|family| remove_series(*family, pipeline, |values| family.remove_label_values(values)));
        remove_series(&self.segment_fetch, pipeline, |values| self.segment_fetch.remove_label_values(values));
    }
}

/// Removes every series of `family` whose label `pipeline` is this one.
fn remove_series(family: &impl Collector, pipeline: &str, remove: impl Fn(&[&str]) -> Result<(), Error>) {
    let Some(description) = family.desc().first().map(|desc| desc.variable_labels.clone()) else { return };
    for collected in family.collect() {
        for metric in collected.get_metric() {
            let value = |label: &String| {
                metric.get_label().iter().find(|pair| pair.name() == label).map_or("", |pair| pair.value())
            };
            let values: Vec<&str> = description.iter().map(value).collect();
            let ours = description
                .iter()
                .zip(&values)
                .any(|(label, value)| label == "pipeline" && *value == pipeline);
            if ours && let Err(error) = remove(&values) {
                tracing::debug!(%error, pipeline, "series was gone already");
            }
        }
    }
}

/// One pipeline's counters. Its series are removed when this is dropped.
pub struct PipelineMetrics {
    families: Arc<Metrics>,
    name: Arc<str>,
}

impl PipelineMetrics {
    /// The state gauge for this state.
    pub fn state(&self, state: &str) -> IntGauge {
        self.families.state.with_label_values(&[&*self.name, state])
    }

    /// The counters of a source.
    pub fn source(&self, source: &str) -> SourceMetrics {
        let labels = &[&*self.name, source];
        let faults = FaultKind::LABELS
            .iter()
            .map(|kind| self.families.source_faults.with_label_values(&[&*self.name, source, kind]))
            .collect();
        SourceMetrics {
            active: self.families.source_active.with_label_values(labels),
            bytes: self.families.source_bytes.with_label_values(labels),
            last_byte: self.families.source_last_byte.with_label_values(labels),
            restarts: self.families.source_restarts.with_label_values(labels),
            segment_fetch: self.families.segment_fetch.with_label_values(labels),
            faults,
        }
    }

    /// The counters of a rendition.
    pub fn rendition(&self, rendition: &str) -> RenditionMetrics {
        let labels = &[&*self.name, rendition];
        RenditionMetrics {
            playlist_age: self.families.playlist_age.with_label_values(labels),
            segments: self.families.segments.with_label_values(labels),
            gaps: self.families.gaps.with_label_values(labels),
            discontinuities: self.families.discontinuities.with_label_values(labels),
            buffer_bytes: self.families.buffer_bytes.with_label_values(labels),
            buffer_segments: self.families.buffer_segments.with_label_values(labels),
            buffer_duration: self.families.buffer_duration.with_label_values(labels),
        }
    }

    /// The counters of a sink.
    pub fn sink(&self, sink: &str) -> SinkMetrics {
        let labels = &[&*self.name, sink];
        SinkMetrics {
            viewers: self.families.viewers.with_label_values(labels),
            bytes: self.families.viewer_bytes.with_label_values(labels),
        }
    }

    /// The counters of the layers on a stage. Only those that a layer touches get a series.
    pub fn stage(self: &Arc<Self>, stage: &Arc<str>) -> StageMetrics {
        StageMetrics { pipeline: self.clone(), stage: stage.clone() }
    }
}

impl Drop for PipelineMetrics {
    fn drop(&mut self) {
        self.families.forget(&self.name);
    }
}

/// What a source counts.
#[derive(Clone)]
pub struct SourceMetrics {
    /// 1 while it feeds the pipeline.
    pub active: IntGauge,
    /// Media bytes.
    pub bytes: IntCounter,
    /// Unix time of the last media byte.
    pub last_byte: prometheus::Gauge,
    /// Starts after the first.
    pub restarts: IntCounter,
    /// Fetch times.
    pub segment_fetch: Histogram,
    faults: Arc<[IntCounter]>,
}

impl SourceMetrics {
    /// Counts a fault.
    pub fn fault(&self, kind: &FaultKind) {
        let label = kind.label();
        if let Some(at) = FaultKind::LABELS.iter().position(|known| *known == label) {
            self.faults[at].inc();
        }
    }
}

/// What a rendition's window counts.
#[derive(Clone)]
pub struct RenditionMetrics {
    /// Seconds since the origin's playlist moved.
    pub playlist_age: prometheus::Gauge,
    /// Segments appended.
    pub segments: IntCounter,
    /// Missing ones among them.
    pub gaps: IntCounter,
    /// Discontinuities.
    pub discontinuities: IntCounter,
    /// Bytes held.
    pub buffer_bytes: IntGauge,
    /// Segments held.
    pub buffer_segments: IntGauge,
    /// Seconds held.
    pub buffer_duration: prometheus::Gauge,
}

/// What a sink counts.
#[derive(Clone)]
pub struct SinkMetrics {
    /// Viewers now.
    pub viewers: IntGauge,
    /// Bytes sent.
    pub bytes: IntCounter,
}

/// What the layers of one stage count.
#[derive(Clone)]
pub struct StageMetrics {
    pipeline: Arc<PipelineMetrics>,
    stage: Arc<str>,
}

impl StageMetrics {
    fn counter(&self, family: &IntCounterVec) -> IntCounter {
        family.with_label_values(&[&*self.pipeline.name, &*self.stage])
    }

    /// Requests sent again.
    pub fn retries(&self) -> IntCounter {
        self.counter(&self.pipeline.families.retries)
    }

    /// Requests refused or made to wait by a rate limit.
    pub fn rate_limited(&self) -> IntCounter {
        self.counter(&self.pipeline.families.rate_limited)
    }

    /// Requests refused or made to wait by a concurrency limit.
    pub fn concurrency_limited(&self) -> IntCounter {
        self.counter(&self.pipeline.families.concurrency_limited)
    }

    /// Exchanges that ran out of their total time.
    pub fn timeouts(&self) -> IntCounter {
        self.counter(&self.pipeline.families.timeouts)
    }

    /// Requests to a cache with this result, one of [`CACHE_RESULTS`].
    pub fn cache(&self, result: &str) -> IntCounter {
        self.pipeline.families.cache_requests.with_label_values(&[&*self.pipeline.name, &*self.stage, result])
    }

    /// 0 closed, 1 half open, 2 open.
    pub fn breaker_state(&self) -> IntGauge {
        self.pipeline.families.breaker_state.with_label_values(&[&*self.pipeline.name, &*self.stage])
    }

    /// Times that the breaker opened.
    pub fn breaker_opened(&self) -> IntCounter {
        self.counter(&self.pipeline.families.breaker_opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_pipeline_go_with_it_and_those_of_others_stay() {
        let metrics = Arc::new(Metrics::new(Registry::new()).unwrap());
        let (news, sport) = (metrics.pipeline("news"), metrics.pipeline("sport"));
        news.source("source 1 hls").bytes.inc();
        sport.source("source 1 hls").bytes.inc();
        drop(news);
        let text = prometheus::TextEncoder::new().encode_to_string(&metrics.registry().gather()).unwrap();
        assert!(!text.contains("news"), "{text}");
        assert!(
            text.contains("sluice_source_bytes_total{pipeline=\"sport\",source=\"source 1 hls\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("kind=\"stale\",pipeline=\"sport\""),
            "fault counters stand at zero from the start"
        );
    }
}
