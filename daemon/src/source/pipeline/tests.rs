use std::sync::Arc;

use bytes::Bytes;
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::{Container, Media, Part, RenditionSpec, Role};
use sluice_core::pipeline::{Around, Directory, End, Feed, Opening, Shared, Snapshot, State, Writer};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use super::super::testing::{
    assert_refused, assert_shown_alike, discontinuities, faults, pipeline, pipeline_around, read, scripted,
    start, window,
};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_node_is_read_and_shown_the_same() {
    assert_shown_alike(&PIPELINE, &[r#"source "pipeline" "news/eu""#]);
    assert_refused(&PIPELINE, &[(r#"source "pipeline""#, "NAME"), (r#"source "pipeline" "a" b=1"#, "b")]);
}

/// The pipeline that is followed, as its source writes to it.
struct Upper {
    shared: Arc<Shared>,
    writers: Vec<Writer>,
    feed: Feed,
}

fn specs(names: &[&str]) -> Vec<RenditionSpec> {
    names.iter().map(|name| RenditionSpec { name: (*name).to_owned(), role: Role::only() }).collect()
}

impl Upper {
    fn new(names: &[&str]) -> Self {
        Self::run(&pipeline("upper"), names, 1)
    }

    /// Another run of its source.
    fn run(shared: &Arc<Shared>, names: &[&str], generation: u64) -> Self {
        let feed = Feed::new(shared.clone(), shared.metrics.source("source 1 hls"), generation);
        let specs = specs(names);
        let opening =
            Opening { specs: &specs, target: SECOND, independent_segments: true, part_target: None };
        let writers = feed.open(&opening);
        Self { shared: shared.clone(), writers, feed }
    }

    fn append(&self, numbers: std::ops::Range<u8>, era: u64) {
        for number in numbers {
            for writer in &self.writers {
                writer.append(Media { parts: vec![part(number)], ..blank(era) }).unwrap();
            }
        }
    }
}

fn part(number: u8) -> Part {
    Part { duration: SECOND, independent: true, bytes: Bytes::from(vec![number; 188]) }
}

fn blank(era: u64) -> Media {
    Media {
        duration: SECOND,
        era,
        gap: false,
        program_date_time: None,
        container: Container::TransportStream,
        origin: None,
        parts: Vec::new(),
    }
}

/// A pipeline that follows `upper`.
struct Lower {
    shared: Arc<Shared>,
    directory: Directory,
    task: JoinHandle<Result<End, Fault>>,
}

impl Lower {
    fn new(directory: &Directory) -> Self {
        let around = Around { pipelines: directory.clone(), ..Around::default() };
        Self::run(&pipeline_around("lower", around), directory, 1)
    }

    fn run(shared: &Arc<Shared>, directory: &Directory, generation: u64) -> Self {
        let spec = read(&PIPELINE, r#"source "pipeline" "upper""#).0.unwrap();
        let task = start(&*spec, shared, scripted(Vec::new()), generation);
        Self { shared: shared.clone(), directory: directory.clone(), task }
    }

    async fn has(&self, numbers: impl IntoIterator<Item = u8>) -> Arc<Snapshot> {
        let expected: Vec<u8> = numbers.into_iter().collect();
        let seen = |snapshot: &Snapshot| {
            let segments = snapshot.segments.iter();
            segments
                .flat_map(|segment| segment.media.parts.iter().map(|part| part.bytes[0]))
                .collect::<Vec<_>>()
        };
        window(&self.shared, |snapshot| seen(snapshot) == expected).await
    }

    async fn says(&self, words: &str) {
        for _ in 0..1000 {
            if faults(&self.shared) == words {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("{words:?} was not said, but {:?}", faults(&self.shared));
    }
}

fn directory(upper: &Upper) -> Directory {
    let directory = Directory::default();
    directory.enter(&upper.shared);
    directory
}

#[tokio::test(start_paused = true)]
async fn the_newest_three_segments_and_all_that_follow_are_taken_without_a_copy() {
    let upper = Upper::new(&["video", "audio"]);
    upper.append(0..10, 0);
    let lower = Lower::new(&directory(&upper));
    lower.has(7..10).await;
    upper.append(10..12, 1);
    let snapshot = lower.has(7..12).await;
    assert_eq!(discontinuities(&snapshot), 1);
    let set = lower.shared.renditions().unwrap();
    assert!(set.independent_segments && set.renditions.len() == 2);
    let bytes = |shared: &Shared| {
        let set = shared.renditions().unwrap();
        set.renditions[1].window.snapshot().segments.last().unwrap().media.parts[0].bytes.as_ptr()
    };
    assert_eq!(bytes(&lower.shared), bytes(&upper.shared));
    lower.task.abort();
}

#[tokio::test(start_paused = true)]
async fn parts_are_taken_as_they_come() {
    let upper = Upper::new(&["main"]);
    let lower = Lower::new(&directory(&upper));
    upper.writers[0].open(blank(0)).unwrap();
    upper.writers[0].grow(part(1)).unwrap();
    let grown = |count: usize| {
        move |snapshot: &Snapshot| snapshot.open.as_ref().is_some_and(|open| open.media.parts.len() == count)
    };
    window(&lower.shared, grown(1)).await;
    upper.writers[0].grow(part(2)).unwrap();
    upper.writers[0].grow(part(3)).unwrap();
    window(&lower.shared, grown(3)).await;
    upper.writers[0].grow(part(4)).unwrap();
    upper.writers[0].open(blank(0)).unwrap();
    lower.has(1..5).await;
    lower.task.abort();
}

#[tokio::test(start_paused = true)]
async fn the_end_goes_on_and_ends_when_the_stream_goes_on() {
    let upper = Upper::new(&["main"]);
    upper.append(0..2, 0);
    let lower = Lower::new(&directory(&upper));
    lower.has(0..2).await;
    upper.feed.end();
    upper.shared.set_state(State::Stopped, "the origin ended the stream");
    window(&lower.shared, |snapshot| snapshot.ended).await;
    lower.says("the pipeline `upper` is stopped: the origin ended the stream").await;
    upper.append(2..3, 0);
    assert!(!lower.has(0..3).await.ended);
    lower.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_is_gone_is_named_and_followed_again_when_it_is_back() {
    let upper = Upper::new(&["main"]);
    upper.append(0..2, 0);
    let lower = Lower::new(&directory(&upper));
    lower.has(0..2).await;
    lower.directory.leave("upper");
    drop(upper);
    lower.says("the pipeline `upper` does not run").await;
    sleep(Duration::from_secs(200)).await;
    let upper = Upper::new(&["main"]);
    lower.directory.enter(&upper.shared);
    upper.append(5..8, 0);
    let snapshot = lower.has([0, 1, 5, 6, 7]).await;
    assert_eq!(discontinuities(&snapshot), 1);
    assert!(!lower.task.is_finished());
    lower.task.abort();
}

#[tokio::test(start_paused = true)]
async fn other_renditions_need_a_run_of_their_own() {
    let upper = Upper::new(&["main"]);
    upper.append(0..2, 0);
    let lower = Lower::new(&directory(&upper));
    lower.has(0..2).await;
    Upper::run(&upper.shared, &["v1", "v2"], 2).append(2..3, 0);
    let fault = lower.task.await.unwrap().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Pipeline("the other pipeline brings other renditions now".into()));
}

#[tokio::test(start_paused = true)]
async fn a_later_run_goes_on_where_the_one_before_stood() {
    let upper = Upper::new(&["main"]);
    upper.append(0..3, 0);
    let directory = directory(&upper);
    let lower = Lower::new(&directory);
    lower.has(0..3).await;
    lower.task.abort();
    assert!(lower.task.await.is_err());
    upper.append(3..9, 1);
    let lower = Lower::run(&lower.shared, &directory, 2);
    let snapshot = lower.has(0..9).await;
    assert_eq!(discontinuities(&snapshot), 1, "the one that upper has");
    lower.task.abort();
}
