use std::time::Duration;

use super::super::tests::setup;
use super::super::{Bounds, Cutting, Feed, Intake, Opening, RenditionSpec, State, Writer};
use super::*;
use crate::media::ts::testing::Shape;
use crate::media::{Container, Media, Part};

const TARGET: Duration = Duration::from_secs(2);

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(setup(&Arc::default()), Bounds { segments: 5, bytes: 1 << 20 }))
}

/// The writers of a run of the source `id`.
fn run(shared: &Arc<Shared>, id: u64, generation: u64, renditions: usize) -> Vec<Writer> {
    use super::super::feed::{Fit, Purpose};
    let lineage = Lineage { id, stage: format!("source {id} scripted").into() };
    let metrics = shared.metrics.source(&lineage.stage);
    let feed = Feed::of_run(shared.clone(), metrics, lineage, generation, Purpose::Serve(Fit::Replace));
    let spec = |at| RenditionSpec { name: format!("video-{at}"), role: Role::only() };
    let specs: Vec<_> = (0..renditions).map(spec).collect();
    let opening = Opening { specs: &specs, target: TARGET, independent_segments: true, part_target: None };
    feed.open(&opening)
}

fn media(bytes: usize) -> Media {
    let part = Part { duration: TARGET, independent: true, bytes: vec![0x47; bytes].into() };
    let (container, parts) = (Container::TransportStream, vec![part]);
    Media { duration: TARGET, era: 0, gap: false, program_date_time: None, container, origin: None, parts }
}

fn gap() -> Media {
    Media { gap: true, parts: Vec::new(), ..media(0) }
}

fn taking(download_ms: u64) -> Delivery {
    let download = Duration::from_millis(download_ms);
    Delivery { download, status: 200, ..Delivery::default() }
}

fn observations(shared: &Shared) -> Vec<Observation> {
    shared.sample().map(|(_, sample)| sample.observations).unwrap_or_default()
}

#[tokio::test]
async fn each_segment_of_the_first_window_is_observed_once_with_how_it_came() {
    let shared = shared();
    assert!(shared.sample().is_none(), "nothing before a segment is whole");
    let writers = run(&shared, 1, 1, 2);
    for at in 1..=3 {
        writers[0].append_delivered(media(188 * 2), taking(at * 100)).unwrap();
        writers[1].append_delivered(media(188), taking(9000)).unwrap();
    }
    writers[0].append_delivered(gap(), Delivery { status: 404, retries: 3, ..taking(6000) }).unwrap();
    let seen = observations(&shared);
    let facts =
        seen.iter().map(|one| (one.download.as_millis(), one.bytes, one.gap, one.status, one.retries));
    let expected = [
        (100, 376, false, 200, 0),
        (200, 376, false, 200, 0),
        (300, 376, false, 200, 0),
        (6000, 0, true, 404, 3),
    ];
    assert_eq!(facts.collect::<Vec<_>>(), expected);
    let sequences: Vec<_> = seen.iter().map(|one| one.sequence - seen[0].sequence).collect();
    assert_eq!(sequences, [0, 1, 2, 3]);
    let (run, sample) = shared.sample().unwrap();
    assert_eq!((run, &*sample.source, sample.target_duration), (1, "source 1 scripted", TARGET));
}

#[tokio::test]
async fn the_newest_hundred_are_kept_whatever_the_window_holds() {
    let shared = shared();
    let writers = run(&shared, 1, 1, 1);
    for at in 0..250 {
        writers[0].append_delivered(media(188), taking(at)).unwrap();
    }
    let seen = observations(&shared);
    assert_eq!(seen.len(), MOST_OBSERVATIONS);
    assert_eq!((seen[0].download.as_millis(), seen[99].download.as_millis()), (150, 249));
}

#[tokio::test]
async fn a_switch_of_source_forgets_what_was_seen_and_a_restart_of_the_same_does_not() {
    let shared = shared();
    run(&shared, 1, 1, 1)[0].append(media(188)).unwrap();
    run(&shared, 1, 2, 1)[0].append(media(188)).unwrap();
    let broken: Vec<_> = observations(&shared).iter().map(|one| one.discontinuity).collect();
    assert_eq!(broken, [false, true], "the source broke off and came again");
    shared.set_state(State::Stalled, "silence");
    let other = run(&shared, 2, 3, 1);
    assert_eq!(observations(&shared).len(), 2, "it has brought nothing yet");
    other[0].append(media(188)).unwrap();
    let (run, sample) = shared.sample().unwrap();
    assert_eq!((run, &*sample.source, sample.observations.len()), (3, "source 2 scripted", 1));
    let first = &sample.observations[0];
    assert!(!first.discontinuity && first.stalls == 0, "neither the splice nor the stall before is its own");
}

#[tokio::test]
async fn stalls_are_those_since_the_observation_before() {
    let shared = shared();
    let writers = run(&shared, 1, 1, 1);
    writers[0].append(media(188)).unwrap();
    for _ in 0..2 {
        shared.set_state(State::Stalled, "silence");
        shared.set_state(State::Live, "");
    }
    writers[0].append(media(188)).unwrap();
    writers[0].append(media(188)).unwrap();
    let stalls: Vec<_> = observations(&shared).iter().map(|one| one.stalls).collect();
    assert_eq!(stalls, [0, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_transport_stream_that_loses_packets_says_so_with_its_segments() {
    let stream = Shape { frames: 400, ..Shape::default() }.build();
    let (mut whole, mut torn) = (stream.clone(), stream);
    let lost = whole.len() / 188 / 2;
    torn.drain(lost * 188..(lost + 1) * 188);
    let errors = |stream: &mut Vec<u8>| {
        let shared = shared();
        let feed = Feed::new(shared.clone(), shared.metrics.source("source 1"), 1);
        let mut intake = Intake::new(feed, Cutting { segment: TARGET, program: None });
        stream.chunks(1316).for_each(|chunk| intake.push(chunk).unwrap());
        intake.finish().unwrap();
        let (_, sample) = shared.sample().unwrap();
        assert!(sample.video && sample.audio, "{sample:?}");
        sample.observations.iter().map(|one| one.continuity_errors).collect::<Vec<_>>()
    };
    let (clean, broken) = (errors(&mut whole), errors(&mut torn));
    assert_eq!(clean.iter().sum::<u32>(), 0, "{clean:?}");
    assert_eq!(broken.iter().sum::<u32>(), 1, "{broken:?}");
    assert!(broken.len() >= 6, "{broken:?}");
}
