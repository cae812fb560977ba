//! The families with their names, help and labels.

use prometheus::{
    CounterVec, Error, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::ages::Ages;

pub(super) struct SourceFamilies {
    pub(super) active: IntGaugeVec,
    pub(super) bytes: IntCounterVec,
    pub(super) last_byte: GaugeVec,
    pub(super) faults: IntCounterVec,
    pub(super) restarts: IntCounterVec,
    pub(super) segment_fetch: HistogramVec,
    pub(super) switches: IntCounterVec,
    pub(super) switch_gap: HistogramVec,
}

pub(super) struct WindowFamilies {
    pub(super) playlist_age: Ages,
    pub(super) segments: IntCounterVec,
    pub(super) gaps: IntCounterVec,
    pub(super) discontinuities: IntCounterVec,
    pub(super) bytes: IntGaugeVec,
    pub(super) held: IntGaugeVec,
    pub(super) duration: GaugeVec,
}

pub(super) struct SinkFamilies {
    pub(super) viewers: IntGaugeVec,
    pub(super) bytes: IntCounterVec,
    pub(super) skips: IntCounterVec,
    pub(super) waiting: IntGaugeVec,
    pub(super) renderings: IntCounterVec,
    pub(super) splices: IntCounterVec,
    pub(super) blind_starts: IntCounterVec,
}

pub(super) struct RecordFamilies {
    pub(super) bytes: IntCounterVec,
    pub(super) files: IntGaugeVec,
    pub(super) paused: IntGaugeVec,
    pub(super) lost_seconds: CounterVec,
}

pub(super) struct StageFamilies {
    pub(super) retries: IntCounterVec,
    pub(super) rate_limited: IntCounterVec,
    pub(super) concurrency_limited: IntCounterVec,
    pub(super) timeouts: IntCounterVec,
    pub(super) cache_requests: IntCounterVec,
    pub(super) breaker_state: IntGaugeVec,
    pub(super) breaker_opened: IntCounterVec,
}

/// Where families are registered, under the prefix of the project.
pub(super) struct Registering<'r>(pub(super) &'r Registry);

impl Registering<'_> {
    pub(super) fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        let family = IntCounterVec::new(Opts::new(format!("sluice_{name}"), help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        let family = IntGaugeVec::new(Opts::new(format!("sluice_{name}"), help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, Error> {
        let family = GaugeVec::new(Opts::new(format!("sluice_{name}"), help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

impl SourceFamilies {
    pub(super) fn new(to: &Registering<'_>) -> Result<Self, Error> {
        let labels = &["pipeline", "source"];
        let fetch = HistogramOpts::new(
            "sluice_segment_fetch_duration_seconds",
            "Time from asking for a segment to its last byte, retries included.",
        );
        let buckets = vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let segment_fetch = HistogramVec::new(fetch.buckets(buckets), labels)?;
        to.0.register(Box::new(segment_fetch.clone()))?;
        let gap = HistogramOpts::new(
            "sluice_source_switch_gap_seconds",
            "Time without media before a source that was switched to brought its first.",
        );
        let buckets = vec![0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0];
        let switch_gap = HistogramVec::new(gap.buckets(buckets), &["pipeline"])?;
        to.0.register(Box::new(switch_gap.clone()))?;
        Ok(Self {
            active: to.gauge("source_active", "1 for the source that feeds the pipeline.", labels)?,
            bytes: to.counter("source_bytes_total", "Media bytes taken in.", labels)?,
            last_byte: to.seconds(
                "source_last_byte_timestamp_seconds",
                "Unix time of the last media byte; 0 before the first.",
                labels,
            )?,
            faults: to.counter(
                "source_faults_total",
                "Faults of a source by kind, after retries.",
                &["pipeline", "source", "kind"],
            )?,
            restarts: to.counter("source_restarts_total", "Starts of a source after its first.", labels)?,
            segment_fetch,
            switches: to.counter(
                "source_switches_total",
                "Switches of sources by the reason for which the one before was left.",
                &["pipeline", "reason"],
            )?,
            switch_gap,
        })
    }
}

impl WindowFamilies {
    pub(super) fn new(to: &Registering<'_>) -> Result<Self, Error> {
        let labels = &["pipeline", "rendition"];
        let age = "Time since the playlist of an HLS origin last brought a new segment.";
        let playlist_age = Ages::new(Opts::new("sluice_playlist_age_seconds", age), labels)?;
        to.0.register(Box::new(playlist_age.clone()))?;
        Ok(Self {
            playlist_age,
            segments: to.counter("segments_total", "Segments appended to the window.", labels)?,
            gaps: to.counter("segment_gaps_total", "Segments that are missing.", labels)?,
            discontinuities: to.counter(
                "discontinuities_total",
                "Segments behind a discontinuity.",
                labels,
            )?,
            bytes: to.gauge("buffer_bytes", "Bytes in the window.", labels)?,
            held: to.gauge("buffer_segments", "Segments in the window.", labels)?,
            duration: to.seconds("buffer_duration_seconds", "Playing time in the window.", labels)?,
        })
    }
}

impl SinkFamilies {
    pub(super) fn new(to: &Registering<'_>) -> Result<Self, Error> {
        let labels = &["pipeline", "sink"];
        Ok(Self {
            viewers: to.gauge("viewers", "Viewers now.", labels)?,
            bytes: to.counter("viewer_bytes_total", "Bytes handed to viewers' connections.", labels)?,
            skips: to.counter(
                "viewer_skips_total",
                "Times that a viewer did not keep up and was moved on to the newest keyframe.",
                labels,
            )?,
            waiting: to.gauge("waiting_requests", "Requests that wait for what is to come.", labels)?,
            renderings: to.counter(
                "playlist_renderings_total",
                "Media playlists that were rendered.",
                labels,
            )?,
            splices: to.counter(
                "program_splices_total",
                "Splices of the endless transport stream.",
                &["pipeline"],
            )?,
            blind_starts: to.counter(
                "program_blind_starts_total",
                "Splices that no random access point came for in time.",
                &["pipeline"],
            )?,
        })
    }
}

impl RecordFamilies {
    pub(super) fn new(to: &Registering<'_>) -> Result<Self, Error> {
        let labels = &["pipeline", "sink"];
        let lost = "Playing time that left the window before it was written.";
        let lost_seconds = CounterVec::new(Opts::new("sluice_record_lost_seconds_total", lost), labels)?;
        to.0.register(Box::new(lost_seconds.clone()))?;
        Ok(Self {
            bytes: to.counter("record_bytes_total", "Media bytes written.", labels)?,
            files: to.gauge("record_files", "Finished files that are kept.", labels)?,
            paused: to.gauge("record_paused", "1 while nothing can be written.", labels)?,
            lost_seconds,
        })
    }
}

impl StageFamilies {
    pub(super) fn new(to: &Registering<'_>) -> Result<Self, Error> {
        let labels = &["pipeline", "stage"];
        Ok(Self {
            retries: to.counter("retries_total", "Requests sent again.", labels)?,
            rate_limited: to.counter(
                "rate_limited_total",
                "Requests that a rate limit refused or made to wait.",
                labels,
            )?,
            concurrency_limited: to.counter(
                "concurrency_limited_total",
                "Requests that were refused or made to wait because too many were under way.",
                labels,
            )?,
            timeouts: to.counter("timeouts_total", "Exchanges that ran out of their total time.", labels)?,
            cache_requests: to.counter(
                "cache_requests_total",
                "Requests to a cache by result.",
                &["pipeline", "stage", "result"],
            )?,
            breaker_state: to.gauge(
                "breaker_state",
                "State of a circuit breaker: 0 closed, 1 half open, 2 open.",
                labels,
            )?,
            breaker_opened: to.counter(
                "breaker_opened_total",
                "Times that a circuit breaker opened.",
                labels,
            )?,
        })
    }
}
