//! A run that goes on where the one before left off.

use std::sync::Arc;
use std::time::Duration;

use super::tests::setup;
use super::*;
use crate::media::{Container, Media, Origin, Part};

/// Segment `number` of an origin.
fn media(number: u64) -> Media {
    let duration = Duration::from_secs(2);
    Media {
        duration,
        era: 0,
        gap: false,
        program_date_time: None,
        container: Container::TransportStream,
        origin: Some(Origin { object: format!("origin/{number}.ts").into(), number }),
        parts: vec![Part { duration, independent: true, bytes: vec![7; 188].into() }],
    }
}

/// The feed and the writer of a run of a source with one rendition.
fn run(shared: &Arc<Shared>, generation: u64) -> (Feed, Writer) {
    let metrics = shared.metrics.source("source 1 scripted");
    let feed = Feed::new(shared.clone(), metrics, generation);
    let specs = [RenditionSpec { name: "main".to_owned(), role: Role::only() }];
    let opening = Opening {
        specs: &specs,
        target: Duration::from_secs(2),
        independent_segments: true,
        part_target: None,
    };
    let writer = feed.open(&opening).remove(0);
    (feed, writer)
}

/// The origin's number and the discontinuities before each segment.
fn held(shared: &Shared) -> Vec<(u64, u64)> {
    let snapshot = shared.renditions().unwrap().renditions[0].window.snapshot();
    let facts = |segment: &Arc<crate::media::Segment>| {
        (segment.media.origin.as_ref().unwrap().number, segment.discontinuities)
    };
    snapshot.segments.iter().map(facts).collect()
}

/// A run that brought the segments up to 3, and went on to 5 while the next one looked for its place.
fn shared_with_late_segments() -> (Arc<Shared>, Feed, Writer) {
    let shared = Arc::new(Shared::new(setup(&Arc::default()), Bounds { segments: 20, bytes: 1 << 20 }));
    let (_before, writer) = run(&shared, 1);
    (1..=3).for_each(|number| writer.append(media(number)).unwrap());
    let (feed, next) = run(&shared, 2);
    assert_eq!(next.last_origin().unwrap().number, 3);
    (4..=5).for_each(|number| writer.append(media(number)).unwrap());
    (shared, feed, next)
}

#[tokio::test]
async fn a_run_that_resumes_drops_what_the_run_before_brought_meanwhile() {
    let (shared, feed, writer) = shared_with_late_segments();
    feed.resume();
    (4..=7).for_each(|number| writer.append(media(number)).unwrap());
    assert_eq!(held(&shared), (1..=7).map(|number| (number, 0)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_run_that_does_not_resume_keeps_all_that_it_brings_behind_one_discontinuity() {
    let (shared, _feed, writer) = shared_with_late_segments();
    (4..=6).for_each(|number| writer.append(media(number)).unwrap());
    let expected = [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (4, 1), (5, 0), (6, 0)];
    assert_eq!(held(&shared), expected);
}

#[tokio::test]
async fn the_run_before_brings_nothing_once_the_next_one_is_live() {
    let (shared, feed, writer) = shared_with_late_segments();
    feed.resume();
    writer.append(media(6)).unwrap();
    let (_old, late) = run(&shared, 1);
    assert!(late.append(media(7)).is_err());
    assert_eq!(held(&shared).last(), Some(&(6, 0)));
}
