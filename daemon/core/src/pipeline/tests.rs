//! A pipeline as a whole, with a scripted source.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kdl::KdlNode;

use super::*;
use crate::event::Events;
use crate::fault::{Fault, FaultKind};
use crate::media::{Container, Media, Part};
use crate::metrics::Metrics;
use crate::plan::{PipelinePlan, StagePlan};
use crate::port::{Ledger, Numbering};
use crate::stage::{BufferSpec, Configured, Reveal, SourceSpec, Upstream};

/// What the source does, in order; a run ends with the script.
#[derive(Debug, Clone, PartialEq)]
enum Act {
    Segment { bytes: usize, era: u64 },
    Wait(Duration),
    Fail,
    Panic,
    Hang,
}

#[derive(Debug, PartialEq)]
struct Scripted {
    /// One script for each run; the last one repeats.
    runs: Vec<Vec<Act>>,
    renditions: usize,
    started: Arc<Started>,
}

#[derive(Debug, Default)]
struct Started(Mutex<usize>);

impl PartialEq for Started {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Configured for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn show(&self, _: Reveal) -> KdlNode {
        KdlNode::new("source")
    }
}

impl SourceSpec for Scripted {
    fn build(&self, context: SourceContext) -> Box<dyn Source> {
        let mut started = self.started.0.lock().unwrap();
        let script = self.runs[(*started).min(self.runs.len() - 1)].clone();
        *started += 1;
        Box::new(Playing { script, renditions: self.renditions, feed: context.feed })
    }
}

struct Playing {
    script: Vec<Act>,
    renditions: usize,
    feed: Feed,
}

fn spec(at: usize) -> RenditionSpec {
    let role = Role::only();
    RenditionSpec { name: format!("video-{at}"), role }
}

fn media(bytes: usize, era: u64) -> Media {
    let duration = Duration::from_secs(2);
    let part = Part { duration, independent: true, bytes: Bytes::from(vec![7; bytes]) };
    let container = Container::TransportStream;
    Media { duration, era, gap: false, program_date_time: None, container, origin: None, parts: vec![part] }
}

impl Source for Playing {
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
        async move {
            let specs: Vec<_> = (0..self.renditions).map(spec).collect();
            let opening = Opening {
                specs: &specs,
                target: Duration::from_secs(2),
                independent_segments: true,
                part_target: None,
            };
            let writers = self.feed.open(&opening);
            for act in self.script {
                match act {
                    Act::Segment { bytes, era } => {
                        for writer in &writers {
                            writer.append(media(bytes, era))?;
                        }
                    }
                    Act::Wait(wait) => tokio::time::sleep(wait).await,
                    Act::Fail => return Err(Fault::malformed("on purpose")),
                    Act::Panic => panic!("on purpose"),
                    Act::Hang => std::future::pending().await,
                }
            }
            Ok(End::ForNow)
        }
        .boxed()
    }
}

#[derive(Debug, PartialEq)]
struct Memory;

impl Configured for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn show(&self, _: Reveal) -> KdlNode {
        KdlNode::new("buffer")
    }
}

impl BufferSpec for Memory {
    fn segments(&self) -> usize {
        50
    }

    fn bytes(&self) -> u64 {
        1 << 20
    }
}

struct NoOrigin;

impl Origins for NoOrigin {
    fn client(&self, _: &dyn SourceSpec) -> Upstream {
        let refuse = tower::service_fn(|_| std::future::ready(Err(Fault::new(FaultKind::Connect))));
        tower::util::BoxCloneSyncService::new(refuse)
    }
}

#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<String, Numbering>>);

impl Ledger for Kept {
    fn load(&self, pipeline: &str) -> Option<Numbering> {
        self.0.lock().unwrap().get(pipeline).copied()
    }

    fn store(&self, pipeline: &str, numbering: Numbering) {
        self.0.lock().unwrap().insert(pipeline.to_owned(), numbering);
    }
}

pub(super) fn setup(ledger: &Arc<Kept>) -> Setup {
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
    Setup {
        name: "news".into(),
        metrics: metrics.pipeline("news"),
        events: Events::default(),
        ledger: ledger.clone(),
        states: Arc::default(),
        around: Around::default(),
    }
}

fn source(renditions: usize, runs: &[&[Act]]) -> Arc<dyn SourceSpec> {
    let runs = runs.iter().map(|run| run.to_vec()).collect();
    Arc::new(Scripted { runs, renditions, started: Arc::default() })
}

/// A place in a file without anything.
fn nowhere() -> crate::conf::Place {
    let file = crate::conf::File { name: "news.kdl".into(), text: "".into() };
    crate::conf::Place::new(Arc::new(file), 0..0, "")
}

pub(super) fn plan(source: Arc<dyn SourceSpec>) -> PipelinePlan {
    let source = StagePlan { spec: source, layers: Vec::new() };
    let buffer: StagePlan<dyn BufferSpec> = StagePlan { spec: Arc::new(Memory), layers: Vec::new() };
    PipelinePlan {
        name: "news".into(),
        file: "news.kdl".into(),
        enabled: true,
        sources: vec![source],
        failover: crate::plan::Failover::default(),
        buffer,
        sinks: Vec::new(),
        health: crate::plan::HealthPlan::usual(nowhere()),
        handlers: Vec::new(),
    }
}

fn start(source: Arc<dyn SourceSpec>) -> Pipeline {
    Pipeline::start(setup(&Arc::default()), plan(source), Arc::new(NoOrigin)).unwrap()
}

async fn reaches(pipeline: &Pipeline, state: State) -> Status {
    let mut status = pipeline.shared().status();
    status.wait_for(|status| status.state == state).await.unwrap().clone()
}

/// Sequence, discontinuity sequence and bytes of every segment.
fn segments(pipeline: &Pipeline, rendition: usize) -> Vec<(u64, u64, u64)> {
    let set = pipeline.shared().renditions().unwrap();
    let snapshot = set.renditions[rendition].window.snapshot();
    let facts = |segment: &Arc<crate::media::Segment>| {
        (segment.sequence, segment.discontinuity_sequence, segment.media.len_bytes())
    };
    snapshot.segments.iter().map(facts).collect()
}

const SEGMENT: Act = Act::Segment { bytes: 10, era: 0 };

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_started_again_behind_a_discontinuity() {
    let pipeline = start(source(1, &[&[SEGMENT, Act::Panic], &[SEGMENT, Act::Hang]]));
    let failed = reaches(&pipeline, State::Failed).await;
    assert_eq!(failed.reason, "source 1 scripted: internal: panic: on purpose");
    reaches(&pipeline, State::Live).await;
    let segments = segments(&pipeline, 0);
    assert_eq!(segments[1].0, segments[0].0 + 1, "the sequence goes on");
    assert_eq!(segments[1].1, segments[0].1 + 1, "behind one discontinuity");
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_without_news_for_three_target_durations_is_stalled_and_recovers() {
    let pipeline = start(source(1, &[&[SEGMENT, Act::Wait(Duration::from_secs(20)), SEGMENT, Act::Hang]]));
    reaches(&pipeline, State::Live).await;
    let stalled = reaches(&pipeline, State::Stalled).await;
    assert!(stalled.reason.contains("three target durations"), "{stalled:?}");
    reaches(&pipeline, State::Live).await;
    assert_eq!(
        segments(&pipeline, 0).iter().map(|segment| segment.1).max(),
        Some(segments(&pipeline, 0)[0].1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_started_with_growing_waits() {
    let spec = Scripted { runs: vec![vec![Act::Fail]], renditions: 1, started: Arc::default() };
    let started = spec.started.clone();
    let pipeline = start(Arc::new(spec));
    reaches(&pipeline, State::Failed).await;
    let begin = tokio::time::Instant::now();
    while *started.0.lock().unwrap() < 5 {
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    let waits = begin.elapsed();
    assert!(waits >= Duration::from_secs(1 + 2 + 4 + 8), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_source_takes_over_with_its_first_segment_and_the_old_one_feeds_until_then() {
    let old: Vec<Act> =
        (0..10).flat_map(|_| [SEGMENT, Act::Wait(Duration::from_secs(2))]).chain([Act::Hang]).collect();
    let mut pipeline = start(source(2, &[&old]));
    reaches(&pipeline, State::Live).await;
    let new = [Act::Wait(Duration::from_secs(5)), Act::Segment { bytes: 99, era: 0 }, Act::Hang];
    pipeline.retune(plan(source(2, &[&new])));
    tokio::time::sleep(Duration::from_secs(15)).await;
    for rendition in 0..2 {
        let segments = segments(&pipeline, rendition);
        let (last, before) = segments.split_last().unwrap();
        assert!(before.len() >= 3, "the old one went on: {segments:?}");
        assert!(before.iter().all(|segment| segment.1 == before[0].1 && segment.2 == 10));
        assert_eq!((last.1, last.2), (before[0].1 + 1, 99), "one step at the same place in every window");
        assert!(segments.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn other_renditions_take_the_place_of_those_before_at_higher_numbers() {
    let mut pipeline = start(source(1, &[&[SEGMENT, SEGMENT, Act::Hang]]));
    reaches(&pipeline, State::Live).await;
    let before = segments(&pipeline, 0);
    pipeline.retune(plan(source(3, &[&[SEGMENT, Act::Hang]])));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pipeline.shared().renditions().unwrap().renditions.len(), 3);
    let after = segments(&pipeline, 2)[0];
    assert!(after.0 > before.last().unwrap().0 && after.1 > before[0].1, "{before:?} {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_comes_late_goes_on_behind_all_that_was_given_out_under_names_of_its_own() {
    let old: Vec<Act> =
        (0..10).flat_map(|_| [SEGMENT, Act::Wait(Duration::from_secs(1))]).chain([Act::Hang]).collect();
    let mut pipeline = start(source(1, &[&old]));
    reaches(&pipeline, State::Live).await;
    let set = pipeline.shared().renditions().unwrap();
    pipeline.retune(plan(source(2, &[&[Act::Wait(Duration::from_secs(5)), SEGMENT, Act::Hang]])));
    tokio::time::sleep(Duration::from_secs(8)).await;
    let newest = set.renditions[0].window.snapshot().segments.last().unwrap().sequence;
    let served = pipeline.shared().renditions().unwrap();
    assert!(segments(&pipeline, 1)[0].0 > newest, "{:?} behind {newest}", segments(&pipeline, 1));
    assert!(served.succeeds && served.epoch != set.epoch);
}

#[tokio::test(start_paused = true)]
async fn numbers_never_go_back_over_a_restart_of_the_daemon() {
    let ledger = Arc::new(Kept::default());
    let origin: Arc<dyn Origins> = Arc::new(NoOrigin);
    let mut highest = (0, 0);
    for _ in 0..3 {
        let spec = source(1, &[&[SEGMENT, Act::Segment { bytes: 1, era: 1 }, Act::Hang]]);
        let pipeline = Pipeline::start(setup(&ledger), plan(spec), origin.clone()).unwrap();
        reaches(&pipeline, State::Live).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let segments = segments(&pipeline, 0);
        assert!(segments[0].0 > highest.0 && segments[0].1 > highest.1, "{segments:?} after {highest:?}");
        highest = (segments[1].0, segments[1].1);
        pipeline.stop(EndReason::Removed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_is_published_and_the_origin_asked_again() {
    let pipeline = start(source(1, &[&[SEGMENT], &[SEGMENT, Act::Hang]]));
    let stopped = reaches(&pipeline, State::Stopped).await;
    assert_eq!(stopped.reason, "the origin ended the stream");
    reaches(&pipeline, State::Live).await;
    assert_eq!(segments(&pipeline, 0).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_over_stays_so_while_its_origin_fails_and_a_new_source_starts_anew() {
    let mut pipeline = start(source(1, &[&[SEGMENT], &[Act::Fail], &[], &[Act::Fail]]));
    let stopped = reaches(&pipeline, State::Stopped).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(*pipeline.shared().status().borrow(), stopped, "nothing changed");
    pipeline.retune(plan(source(1, &[&[Act::Wait(Duration::from_secs(1)), Act::Fail]])));
    reaches(&pipeline, State::Starting).await;
    reaches(&pipeline, State::Failed).await;
}
