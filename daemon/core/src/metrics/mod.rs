//! The metric families, as values passed down: there is no global registry.
//!
//! A pipeline's series are made through its [`PipelineMetrics`] and go when the last handle to it goes.

mod ages;
mod deliveries;
mod families;
mod health;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Error, Histogram, IntCounter, IntGauge, IntGaugeVec, Registry};

use crate::fault::FaultKind;
pub use deliveries::{DeliveriesOf, DeliveryMetrics};
pub use health::HealthMetrics;
pub use stage::StageMetrics;

use families::{RecordFamilies, Registering, SinkFamilies, SourceFamilies, StageFamilies, WindowFamilies};

/// Every family that belongs to a pipeline. All carry the label `pipeline`.
pub struct Metrics {
    registry: Registry,
    state: IntGaugeVec,
    source: SourceFamilies,
    window: WindowFamilies,
    sink: SinkFamilies,
    record: RecordFamilies,
    stage: StageFamilies,
    health: health::HealthFamilies,
}

/// Results of a cache, as the label `result`.
pub const CACHE_RESULTS: &[&str] = &["hit", "miss", "stale", "shared"];

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// When a name is taken in `registry`.
    pub fn new(registry: Registry) -> Result<Self, Error> {
        let to = Registering(&registry);
        Ok(Self {
            state: to.gauge("pipeline_state", "1 for the state of the pipeline.", &["pipeline", "state"])?,
            source: SourceFamilies::new(&to)?,
            window: WindowFamilies::new(&to)?,
            sink: SinkFamilies::new(&to)?,
            record: RecordFamilies::new(&to)?,
            stage: StageFamilies::new(&to)?,
            health: health::HealthFamilies::new(&to)?,
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
        let (source, window, sink, stage) = (&self.source, &self.window, &self.sink, &self.stage);
        let record = &self.record;
        let gauges = [
            &self.state,
            &source.active,
            &window.bytes,
            &window.held,
            &sink.viewers,
            &record.files,
            &record.paused,
            &sink.waiting,
            &stage.breaker_state,
        ];
        let counters = [
            &source.bytes,
            &source.faults,
            &source.restarts,
            &source.switches,
            &window.segments,
            &window.gaps,
            &window.discontinuities,
            &sink.bytes,
            &sink.skips,
            &record.bytes,
            &sink.renderings,
            &sink.splices,
            &sink.blind_starts,
            &stage.retries,
            &stage.rate_limited,
            &stage.concurrency_limited,
            &stage.timeouts,
            &stage.cache_requests,
            &stage.breaker_opened,
        ];
        let floats = [&source.last_byte, &window.duration];
        gauges
            .iter()
            .for_each(|family| remove_series(*family, pipeline, |labels| family.remove_label_values(labels)));
        counters
            .iter()
            .for_each(|family| remove_series(*family, pipeline, |labels| family.remove_label_values(labels)));
        floats
            .iter()
            .for_each(|family| remove_series(*family, pipeline, |labels| family.remove_label_values(labels)));
        self.health.forget(pipeline);
        window.playlist_age.forget(|labels| labels[0] == pipeline);
        remove_series(&source.switch_gap, pipeline, |labels| source.switch_gap.remove_label_values(labels));
        remove_series(&record.lost_seconds, pipeline, |labels| {
            record.lost_seconds.remove_label_values(labels)
        });
        remove_series(&source.segment_fetch, pipeline, |labels| {
            source.segment_fetch.remove_label_values(labels)
        });
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

    /// Switches of sources for a reason, by its label.
    pub fn switch(&self, reason: &str) -> IntCounter {
        self.families.source.switches.with_label_values(&[&*self.name, reason])
    }

    /// How long no media came at switches.
    pub fn switch_gap(&self) -> Histogram {
        self.families.source.switch_gap.with_label_values(&[&*self.name])
    }

    /// The counters of a source.
    pub fn source(&self, source: &str) -> SourceMetrics {
        let labels = &[&*self.name, source];
        let faults = FaultKind::LABELS
            .iter()
            .map(|kind| self.families.source.faults.with_label_values(&[&*self.name, source, kind]))
            .collect();
        SourceMetrics {
            active: self.families.source.active.with_label_values(labels),
            bytes: self.families.source.bytes.with_label_values(labels),
            last_byte: self.families.source.last_byte.with_label_values(labels),
            restarts: self.families.source.restarts.with_label_values(labels),
            segment_fetch: self.families.source.segment_fetch.with_label_values(labels),
            faults,
        }
    }

    /// The counters of a rendition.
    pub fn rendition(&self, rendition: &str) -> RenditionMetrics {
        let labels = &[&*self.name, rendition];
        RenditionMetrics {
            segments: self.families.window.segments.with_label_values(labels),
            gaps: self.families.window.gaps.with_label_values(labels),
            discontinuities: self.families.window.discontinuities.with_label_values(labels),
            buffer_bytes: self.families.window.bytes.with_label_values(labels),
            buffer_segments: self.families.window.held.with_label_values(labels),
            buffer_duration: self.families.window.duration.with_label_values(labels),
        }
    }

    /// Sets how long ago the playlist of a rendition's origin moved; it ages from there on. Only who has one makes the
    /// series.
    pub fn playlist_age(&self, rendition: &str, age: Duration) {
        self.families.window.playlist_age.set(&[&*self.name, rendition], age);
    }

    /// Removes that series: what comes now has no playlist, or another one.
    pub fn forget_playlist_age(&self, rendition: &str) {
        self.families.window.playlist_age.forget(|labels| *labels == [&*self.name, rendition]);
    }

    /// The counters of the program that the sinks of endless transport streams share.
    pub fn program(&self) -> ProgramMetrics {
        let labels = &[&*self.name];
        ProgramMetrics {
            splices: self.families.sink.splices.with_label_values(labels),
            blind_starts: self.families.sink.blind_starts.with_label_values(labels),
        }
    }

    /// The counters of a sink.
    pub fn sink(&self, sink: &str) -> SinkMetrics {
        let labels = &[&*self.name, sink];
        SinkMetrics {
            viewers: self.families.sink.viewers.with_label_values(labels),
            bytes: self.families.sink.bytes.with_label_values(labels),
            skips: self.families.sink.skips.with_label_values(labels),
            waiting: self.families.sink.waiting.with_label_values(labels),
            renderings: self.families.sink.renderings.with_label_values(labels),
        }
    }

    /// The counters of a sink that records.
    pub fn record(&self, sink: &str) -> RecordMetrics {
        let labels = &[&*self.name, sink];
        RecordMetrics {
            bytes: self.families.record.bytes.with_label_values(labels),
            files: self.families.record.files.with_label_values(labels),
            paused: self.families.record.paused.with_label_values(labels),
            lost_seconds: self.families.record.lost_seconds.with_label_values(labels),
        }
    }

    /// The counters of the layers on a stage. Only those that a layer touches get a series.
    pub fn stage(self: &Arc<Self>, stage: &Arc<str>) -> StageMetrics {
        StageMetrics { pipeline: self.clone(), stage: stage.clone() }
    }

    /// What is said of its health.
    pub fn health(self: &Arc<Self>) -> HealthMetrics {
        HealthMetrics::new(self.clone())
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
    /// Viewers moved on.
    pub skips: IntCounter,
    /// Requests that wait for what is to come.
    pub waiting: IntGauge,
    /// Media playlists that were rendered.
    pub renderings: IntCounter,
}

/// What the program of a pipeline counts.
#[derive(Clone)]
pub struct ProgramMetrics {
    /// Splices.
    pub splices: IntCounter,
    /// Those without a random access point.
    pub blind_starts: IntCounter,
}

/// What a sink that records counts.
#[derive(Clone)]
pub struct RecordMetrics {
    /// Media bytes written.
    pub bytes: IntCounter,
    /// Finished files.
    pub files: IntGauge,
    /// 1 while nothing can be written.
    pub paused: IntGauge,
    /// Playing time that left the window before it was written.
    pub lost_seconds: prometheus::Counter,
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
