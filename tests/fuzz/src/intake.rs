//! Packets of any kind through the intake into a window: every playlist that a viewer could get of it conforms, one by
//! one and in their order.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sluice_conformance::Follower;
use sluice_core::event::Events;
use sluice_core::media::playlist::render::MediaOptions;
use sluice_core::media::playlist::render::low_latency::{LowLatency, Scope, media};
use sluice_core::metrics::{Metrics, PipelineMetrics};
use sluice_core::pipeline::{Around, Bounds, Cutting, Feed, Intake, Setup, Shared};
use sluice_core::port::NoLedger;

static METRICS: LazyLock<Option<Arc<PipelineMetrics>>> = LazyLock::new(|| {
    let metrics = Metrics::new(prometheus::Registry::new()).ok()?;
    Some(Arc::new(metrics).pipeline("fuzz"))
});

/// The size of pushes, when the connection is lost, the length of segments; then the stream.
pub(crate) fn run(input: &[u8]) {
    let Some((&[chunk, cut, segment], bytes)) = input.split_first_chunk::<3>() else { return };
    let Some(metrics) = METRICS.clone() else { return };
    let source = metrics.source("source 1 mpegts");
    let setup = Setup {
        name: "fuzz".into(),
        metrics,
        events: Events::default(),
        ledger: Arc::new(NoLedger),
        states: Arc::default(),
        around: Around::default(),
    };
    let shared = Arc::new(Shared::new(setup, Bounds { segments: 8, bytes: 1 << 20 }));
    let segment = Duration::from_millis(u64::from(segment) * 10 + 20);
    let feed = Feed::new(shared.clone(), source, 1);
    let mut intake = Intake::new(feed, Cutting { segment, program: None });
    let mut viewer = Viewer::default();
    for (at, chunk) in bytes.chunks(usize::from(chunk) * 16 + 1).enumerate() {
        if at > 0 && at % (usize::from(cut) + 2) == 0 {
            intake.interrupted();
            viewer.look(&shared);
        }
        if intake.push(chunk).is_err() {
            break;
        }
        viewer.look(&shared);
    }
    drop(intake.finish());
    viewer.look(&shared);
}

#[derive(Default)]
struct Viewer {
    follower: Follower,
    version: u64,
}

impl Viewer {
    fn look(&mut self, shared: &Shared) {
        let Some(set) = shared.renditions() else { return };
        let snapshot = set.renditions[0].window.snapshot();
        if std::mem::replace(&mut self.version, snapshot.version) == snapshot.version || snapshot.is_empty() {
            return;
        }
        for pair in snapshot.segments.windows(2) {
            assert_eq!(pair[0].sequence + 1, pair[1].sequence);
        }
        let options = MediaOptions {
            target_duration: set.target_duration(),
            independent_segments: set.independent_segments,
            ended: snapshot.ended,
            epoch: &set.epoch,
        };
        let low_latency = LowLatency {
            part_target: set.part_target,
            open: snapshot.open.as_deref(),
            reports: &[],
            scope: Scope::Whole,
        };
        let text = media(&snapshot.segments, &options, &low_latency);
        let violations = self.follower.observe(&text);
        assert!(violations.is_empty(), "{violations:?}\n{text}");
    }
}
