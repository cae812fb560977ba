use std::sync::Arc;

use sluice_conformance::Follower;
use sluice_core::conf::{decode as read, print};
use sluice_core::event::Events;
use sluice_core::fault::Fault;
use sluice_core::media::Segment;
use sluice_core::media::playlist::render::{self, MediaOptions};
use sluice_core::metrics::Metrics;
use sluice_core::pipeline::{Around, Bounds, End, Feed, Setup, Shared, Snapshot};
use sluice_core::port::{Ledger, Numbering};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

const SEGMENT: Duration = Duration::from_secs(2);
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf.d/media/demo.ts");

struct NoLedger;

impl Ledger for NoLedger {
    fn load(&self, _: &str) -> Option<Numbering> {
        Some(Numbering { media_sequence: 1000, discontinuity_sequence: 0, target_duration_secs: 1 })
    }

    fn store(&self, _: &str, _: Numbering) {}
}

fn pipeline() -> Arc<Shared> {
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
    let setup = Setup {
        name: "demo".into(),
        metrics: metrics.pipeline("demo"),
        events: Events::default(),
        ledger: Arc::new(NoLedger),
        states: Arc::default(),
        around: Around::default(),
    };
    Arc::new(Shared::new(setup, Bounds { segments: 1000, bytes: 1 << 30 }))
}

fn start(shared: &Arc<Shared>, path: impl Into<PathBuf>, is_looped: bool) -> JoinHandle<Result<End, Fault>> {
    start_run(1, shared, path, is_looped)
}

fn start_run(
    generation: u64,
    shared: &Arc<Shared>,
    path: impl Into<PathBuf>,
    is_looped: bool,
) -> JoinHandle<Result<End, Fault>> {
    let file = File { path: path.into(), is_looped, cutting: Cutting { segment: SEGMENT, program: None } };
    let feed = Feed::new(shared.clone(), shared.metrics.source("source 1 file"), generation);
    tokio::spawn(Box::new(Player::new(file, feed)).run())
}

fn snapshot(shared: &Shared) -> Arc<Snapshot> {
    shared.renditions().unwrap().renditions[0].window.snapshot()
}

/// Waits until so many segments are whole.
async fn segments(shared: &Shared, count: usize) -> Vec<Arc<Segment>> {
    while shared.renditions().is_none_or(|set| set.renditions[0].window.snapshot().segments.len() < count) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    snapshot(shared).segments[..count].to_vec()
}

fn bytes(segments: &[Arc<Segment>]) -> Vec<u8> {
    let parts = segments.iter().flat_map(|segment| &segment.media.parts);
    parts.flat_map(|part| part.bytes.iter().copied()).collect()
}

#[test]
fn a_node_is_read_and_shown_the_same() {
    let text = r#"source "file" "clip.ts" loop=#false segment="3s""#;
    let read = |text: &str| {
        let (spec, problems) = read(text, |node| {
            assert_eq!(node.argument::<String>("KIND").as_deref(), Some("file"));
            decode(node)
        });
        (spec.flatten(), problems)
    };
    let (spec, problems) = read(text);
    assert!(problems.is_empty());
    assert_eq!(print([&spec.unwrap().show(Reveal::Hidden)]).trim(), text);
    assert!(!read(r#"source "file" "clip.ts" segment="1ms""#).1.is_empty());
    assert!(!read(r#"source "file""#).1.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_plays_at_real_time_after_the_first_three_segments() {
    let shared = pipeline();
    let started = Instant::now();
    let run = start(&shared, DEMO, true);
    segments(&shared, 3).await;
    assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
    segments(&shared, 18).await;
    let elapsed = started.elapsed().as_secs_f64();
    assert!((29.5..30.6).contains(&elapsed), "{elapsed}");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_loop_is_one_time_line_of_segments_that_start_with_a_keyframe() {
    let shared = pipeline();
    let run = start(&shared, DEMO, true);
    let segments = segments(&shared, 20).await;
    run.abort();
    let target_duration = shared.renditions().unwrap().target_duration();
    assert_eq!(target_duration, Duration::from_secs(2));
    assert!(shared.renditions().unwrap().independent_segments);
    for segment in &segments {
        assert_eq!(segment.discontinuities, 0);
        assert!(segment.media.parts[0].independent);
        let off = segment.media.duration.abs_diff(SEGMENT);
        assert!(off < Duration::from_millis(60), "{:?}", segment.media.duration);
    }
    let mut follower = Follower::default();
    for window in segments.windows(6) {
        let options = MediaOptions { target_duration, independent_segments: true, ended: false, epoch: "k" };
        assert_eq!(follower.observe(&render::media(window, &options)), []);
    }
    let packets = bytes(&segments);
    let mut counters = std::collections::HashMap::new();
    for packet in packets.as_chunks::<188>().0.iter().filter(|packet| packet[3] & 0x10 != 0) {
        let counter = packet[3] & 0x0f;
        let last = counters.insert([packet[1] & 0x1f, packet[2]], counter);
        assert!(last.is_none_or(|last| (last + 1) & 0x0f == counter));
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_plays_once_is_whole_and_then_ends() {
    let shared = pipeline();
    start(&shared, DEMO, false).await.unwrap().unwrap();
    let snapshot = snapshot(&shared);
    assert!(snapshot.ended);
    let whole = std::fs::read(DEMO).unwrap();
    // the service description before the first tables is all that is not needed
    let played = bytes(&snapshot.segments);
    assert!(whole.ends_with(&played) && whole.len() - played.len() <= 2 * 188);
    let duration: Duration = snapshot.segments.iter().map(|segment| segment.media.duration).sum();
    assert_eq!(duration.as_secs(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_missing_or_no_transport_stream_is_a_fault_that_names_it() {
    let fault = start(&pipeline(), "/nowhere/clip.ts", true).await.unwrap().unwrap_err();
    assert!(fault.to_string().starts_with("cannot play /nowhere/clip.ts: No such file"), "{fault}");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let fault = start(&pipeline(), manifest, true).await.unwrap().unwrap_err();
    assert!(
        fault.to_string().ends_with("Cargo.toml: malformed: no transport stream with video or audio"),
        "{fault}"
    );
    assert_eq!(fault.kind.label(), "file");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_takes_over_brings_what_is_missing_and_no_more() {
    let shared = pipeline();
    let first = start_run(1, &shared, DEMO, true);
    segments(&shared, 5).await;
    first.abort();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (before, taken_over) = (snapshot(&shared).duration(), Instant::now());
    let second = start_run(2, &shared, DEMO, true);
    let count = snapshot(&shared).segments.len();
    segments(&shared, count + 6).await;
    second.abort();
    let brought = snapshot(&shared).duration() - before;
    let missing = Duration::from_secs(4) + taken_over.elapsed();
    assert!(brought.abs_diff(missing) < SEGMENT, "{brought:?} where {missing:?} were missing");
}
