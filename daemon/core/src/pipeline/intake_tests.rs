use std::sync::Arc;

use super::super::{Around, Bounds, Setup, Shared, Snapshot, State};
use super::*;
use crate::event::Events;
use crate::media::ts::testing::Shape;
use crate::metrics::Metrics;
use crate::port::NoLedger;

fn intake() -> (Arc<Shared>, Intake) {
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
    let setup = Setup {
        name: "demo".into(),
        metrics: metrics.pipeline("demo"),
        events: Events::default(),
        ledger: Arc::new(NoLedger),
        states: Arc::default(),
        around: Around::default(),
    };
    let shared = Arc::new(Shared::new(setup, Bounds { segments: 1000, bytes: 1 << 30 }));
    let feed = Feed::new(shared.clone(), shared.metrics.source("source 1 mpegts"), 1);
    (shared, Intake::new(feed, Cutting { segment: Duration::from_secs(2), program: None }))
}

fn snapshot(shared: &Shared) -> Arc<Snapshot> {
    shared.renditions().unwrap().renditions[0].window.snapshot()
}

fn lengths(snapshot: &Snapshot) -> Vec<(u128, u64)> {
    let segments = snapshot.segments.iter();
    segments.map(|segment| (segment.media.duration.as_millis(), segment.discontinuities)).collect()
}

#[tokio::test(start_paused = true)]
async fn segments_are_published_from_the_first_whole_one_on_and_grow_by_parts() {
    let (shared, mut intake) = intake();
    let stream = Shape::default().build();
    let mut chunks = stream.chunks(1316);
    for chunk in &mut chunks {
        intake.push(chunk).unwrap();
        if shared.renditions().is_some() {
            break;
        }
    }
    assert_eq!(lengths(&snapshot(&shared)), [(2000, 0)]);
    let mut grown = 0;
    for chunk in chunks {
        intake.push(chunk).unwrap();
        grown = grown.max(snapshot(&shared).open.as_ref().map_or(0, |open| open.media.parts.len()));
    }
    assert!(grown >= 9, "{grown}");
    intake.finish().unwrap();
    assert_eq!(lengths(&snapshot(&shared)), [(2000, 0), (2000, 0), (2000, 0)]);
    assert_eq!(shared.renditions().unwrap().target_duration(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_interruption_ends_the_segment_and_begins_another_era_at_a_keyframe() {
    let (shared, mut intake) = intake();
    let stream = Shape::default().build();
    intake.push(&stream[..stream.len() / 2 + 100]).unwrap();
    intake.interrupted();
    intake.push(&stream[stream.len() / 4..]).unwrap();
    intake.finish().unwrap();
    let snapshot = snapshot(&shared);
    let eras: Vec<_> = lengths(&snapshot).iter().map(|(_, discontinuities)| *discontinuities).collect();
    assert_eq!(eras, [0, 0, 1, 0]);
    assert!(snapshot.segments[2].media.parts[0].independent);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_connection_held_back_is_no_news() {
    let (shared, mut intake) = intake();
    let stream = Shape::default().build();
    intake.push(&stream[..stream.len() / 2 + 4000]).unwrap();
    assert_eq!(shared.status().borrow().state, State::Live);
    let came = snapshot(&shared).open.as_ref().map(|open| open.media.parts.len());
    tokio::time::advance(Duration::from_secs(10)).await;
    shared.set_state(State::Stalled, "silence");
    intake.interrupted();
    let after = snapshot(&shared);
    let last = after.segments.last().unwrap();
    assert!(Some(last.media.parts.len()) > came, "something was held back");
    assert_eq!(shared.status().borrow().state, State::Stalled);
    assert!(shared.idle() >= Duration::from_secs(10), "{:?}", shared.idle());
    intake.push(&stream).unwrap();
    assert_eq!(shared.status().borrow().state, State::Live);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_published_is_dropped_by_an_interruption_without_a_trace() {
    let (shared, mut intake) = intake();
    let stream = Shape::default().build();
    for length in [stream.len() / 5, stream.len() / 4] {
        intake.push(&stream[..length]).unwrap();
        intake.interrupted();
        assert!(shared.renditions().is_none());
    }
    intake.push(&stream).unwrap();
    intake.finish().unwrap();
    assert_eq!(lengths(&snapshot(&shared)), [(2000, 0), (2000, 0), (2000, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_rendition_is_declared_with_what_the_first_segment_tells() {
    let (shared, mut intake) = intake();
    intake.push(&Shape { size: 2000, ..Shape::default() }.build()).unwrap();
    let set = shared.renditions().unwrap();
    assert_eq!(set.part_target, Some(Duration::from_millis(200)));
    let Role::Variant { bandwidth_bps, attributes, .. } = &set.renditions[0].spec.role else {
        panic!("no variant")
    };
    assert!((400_000..600_000).contains(bandwidth_bps), "{bandwidth_bps}");
    assert!(attributes.iter().any(|(name, _)| name == "CODECS"), "{attributes:?}");
    assert!(attributes.contains(&("FRAME-RATE".into(), "25.000".into())), "{attributes:?}");
}

#[tokio::test(start_paused = true)]
async fn bytes_without_a_program_are_a_fault_after_a_while() {
    let chunk = vec![0x11; 64 * 1024];
    let (_, mut many) = intake();
    let fault = (0..1000).find_map(|_| many.push(&chunk).err()).unwrap();
    assert_eq!(fault.kind.label(), "malformed");
    let (_, mut long) = intake();
    long.push(&chunk).unwrap();
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(long.push(&chunk).unwrap_err().kind.label(), "malformed");
    assert_eq!(intake().1.finish().unwrap_err().kind.label(), "malformed");
}
